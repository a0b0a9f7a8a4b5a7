/** The sample command, shared by `lockstep sample` and `nx run sampler:sample`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { engineDirectory, engineEnvironment, graphDirectory, loadEngine } from '@lockstep/engine';
import { draw } from './draw.js';

const MOST_CELLS = 100;

function grid(text: string): { rows: number; columns: number } {
  const [, rows, columns] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  const parsed = { rows: Number(rows), columns: Number(columns) };
  if (!(parsed.rows >= 1 && parsed.columns >= 1 && parsed.rows <= MOST_CELLS && parsed.columns <= MOST_CELLS)) {
    throw new InvalidArgumentError(`write ROWSxCOLUMNS, each from 1 to ${MOST_CELLS}, for example 8x8.`);
  }
  return parsed;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('write a whole number.');
  return value;
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw new InvalidArgumentError('write a whole number of at least 1.');
  return value;
}

type Options = {
  readonly out: string;
  readonly grid: { readonly rows: number; readonly columns: number };
  readonly seed: number;
  readonly sampler?: 'ddpm' | 'ddim';
  readonly steps?: number;
  readonly scale: number;
  readonly device: 'cpu' | 'cuda';
  readonly threads: number;
};

/** `threads` is the number of processors of the machine. */
export function sampleCommand(name: string, threads: number, env: NodeJS.ProcessEnv): Command {
  return new Command(name)
    .description("draws a grid of images from a run's newest checkpoint, with its EMA weights")
    .argument('[directory]', 'directory of the run', env['LOCKSTEP_OUT'] ?? 'runs/default')
    .option('--out <file>', 'PNG to write', 'samples.png')
    .addOption(
      new Option('--grid <rows>x<columns>', 'images in the grid')
        .default({ rows: 8, columns: 8 }, '8x8')
        .argParser(grid),
    )
    .option('--seed <number>', 'of the noise: the same seed gives the same images', wholeNumber, 0)
    .addOption(new Option('--sampler <name>', "default: the preset's").choices(['ddim', 'ddpm']))
    .option('--steps <number>', "denoising steps; default: the sampler's", positive)
    .option('--scale <number>', 'enlargement in whole pixels', positive, 2)
    .addOption(
      new Option('--device <device>', 'where to compute')
        .choices(['cpu', 'cuda'])
        .default(env['LOCKSTEP_DEVICE'] ?? 'cpu'),
    )
    .option('--threads <number>', 'threads inside a tensor operation', positive, threads)
    .action(async (directory: string, options: Options) => {
      const { device, threads: used, out } = options;
      Object.assign(process.env, engineEnvironment({ device, threads: used }));
      const engine = loadEngine({
        device,
        threads: used,
        directory: engineDirectory(device, env),
        graphs: graphDirectory(env),
      });
      const progress = process.stderr.isTTY;
      const drawn = await draw(engine, {
        run: directory,
        out,
        ...options.grid,
        seed: options.seed,
        sampler: options.sampler ?? null,
        steps: options.steps ?? null,
        scale: options.scale,
        onStep: (done, steps) => {
          if (progress) process.stderr.write(`\rdrawing: step ${done} of ${steps}${done === steps ? '\n' : ''}`);
        },
        warn: (text) => process.stderr.write(`${text}\n`),
      });
      process.stdout.write(
        `${out}: ${options.grid.rows}x${options.grid.columns} images from the checkpoint of step ${drawn.step}\n`,
      );
    });
}
