/** `lockstep replay`: computes one microbatch of a run again and says what it was made of. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { cacheDirectoryIn, deviceIn, kernelsIn } from '@lockstep/config';
import { canRedraw, TerminalLine } from '@lockstep/process';
import { loadEngineHere } from '@lockstep/engine';
import { DATA_DOC } from '@lockstep/sampler';
import { defaultReplayFile, replay, type ReplayReport } from '@lockstep/worker/replay';

type Options = {
  readonly step: number;
  readonly microbatch: number;
  readonly data?: string;
  /** true: given without a name. */
  readonly out?: string | true;
  readonly device: 'cpu' | 'cuda';
  readonly threads: number;
};

/** As of a worker. */
const MOST_THREADS = 1024;

function wholeNumberIn(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`write a whole number in ${least}..${most}.`);
    return value;
  };
}

/** The report as lines of `name: value`. */
export function reportLines(report: ReplayReport): string[] {
  const { indices, samples, samplesInLedger, nonFinite, largest, out } = report;
  const agrees =
    samplesInLedger === null
      ? 'not in the ledger'
      : samplesInLedger === samples
        ? 'as in the ledger'
        : `the ledger has ${samplesInLedger}`;
  return [
    `samples: ${indices.join(' ')} (${samples}, ${agrees})`,
    ...Object.entries(report.notes).map(([name, values]) => `${name}: ${values.join(' ')}`),
    `loss: ${report.loss ?? 'not finite'}`,
    ...Object.entries(report.figures).map(([name, mean]) => `${name}: ${mean}`),
    `gradient norm: ${report.gradientNorm}`,
    `largest |g|: ${largest === null ? 'no finite number' : `${largest.magnitude} in ${largest.tensor}`}`,
    ...(nonFinite.length === 0
      ? ['not finite: none']
      : nonFinite.map(({ name, count, size }) => `not finite: ${name}, ${count} of ${size} numbers`)),
    `gradient sha256: ${report.gradientDigest}`,
    ...(out === null ? [] : [`written: ${out}`]),
  ];
}

/** The command; `env` is process.env itself: the engine's settings are put there. */
export function replayCommand(env: NodeJS.ProcessEnv): Command {
  return new Command('replay')
    .description('computes one microbatch of a run again, bit for bit, and says what it was made of')
    .argument('<directory>', 'directory of the run')
    .requiredOption(
      '--step <k>',
      'step, counted from 0; at most one beyond the last committed',
      wholeNumberIn(0, Number.MAX_SAFE_INTEGER),
    )
    .requiredOption(
      '--microbatch <i>',
      'microbatch of that step, counted from 0',
      wholeNumberIn(0, Number.MAX_SAFE_INTEGER),
    )
    .option('--data <folder>', DATA_DOC)
    .option(
      '--out [file]',
      'safetensors file for batch, weights and gradient; without a name: DIR/replay/step-K-microbatch-I.safetensors',
    )
    .addOption(new Option('--device <device>', 'where to compute').choices(['cpu', 'cuda']).default(deviceIn(env)))
    .option('--threads <number>', 'threads inside a tensor operation; as in the run', wholeNumberIn(1, MOST_THREADS), 1)
    .action(async (directory: string, { step, microbatch, data, out, device, threads }: Options) => {
      const terminal = canRedraw(process.stderr, env) ? new TerminalLine(process.stderr) : null;
      const report = await replay({
        directory,
        step,
        microbatch,
        data: data ?? null,
        out: out === true ? defaultReplayFile(directory, step, microbatch) : (out ?? null),
        engine: (engine) =>
          loadEngineHere({ device, threads, cache: cacheDirectoryIn(env), engine, kernels: kernelsIn(env) }, env),
        onStep: (done, total) => {
          const text = `redoing step ${done + 1} of ${total}`;
          if (terminal === null) process.stderr.write(`${text}\n`);
          else terminal.draw(() => text);
        },
        warn: (text) => (terminal === null ? void process.stderr.write(`${text}\n`) : terminal.print(text)),
      }).finally(() => terminal?.close());
      process.stderr.write(`began with state ${report.from.step} from ${report.from.origin}\n`);
      const told = report.isPrinted ? process.stderr : process.stdout;
      told.write(`${reportLines(report).join('\n')}\n`);
    });
}
