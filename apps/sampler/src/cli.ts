/** The sample command, shared by `lockstep sample` and `nx run sampler:sample`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { draw, type DrawProgress } from './draw.js';

const MOST_CELLS = 100;
/** Each worker is a process of some hundred MB: more on one machine is a slip. */
const MOST_WORKERS = 1024;

function grid(text: string): { rows: number; columns: number } {
  const [, rows, columns] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  const parsed = { rows: Number(rows), columns: Number(columns) };
  if (!(parsed.rows >= 1 && parsed.columns >= 1 && parsed.rows <= MOST_CELLS && parsed.columns <= MOST_CELLS)) {
    throw new InvalidArgumentError(`write ROWSxCOLUMNS, each from 1 to ${MOST_CELLS}, for example 8x8.`);
  }
  return parsed;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('write a whole number.');
  return value;
}

export function positive(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw new InvalidArgumentError('write a whole number of at least 1.');
  return value;
}

export function workerCount(text: string): number {
  const value = positive(text);
  if (value > MOST_WORKERS) throw new InvalidArgumentError(`write a whole number from 1 to ${MOST_WORKERS}.`);
  return value;
}

/**
 * Shows how far a drawing is: on a terminal one line that is written over, elsewhere a line for every tenth of the images.
 */
export function progressOn(stream: NodeJS.WriteStream, count: number): (progress: DrawProgress) => void {
  let told = 0;
  return ({ steps, allSteps, images }) => {
    const text = `drawing: ${images} of ${count} images, ${Math.floor((100 * steps) / allSteps)} %`;
    if (stream.isTTY) stream.write(`\r${text}${images === count ? '\n' : ''}`);
    else if (images - told >= count / 10 || (images === count && images > told)) {
      stream.write(`${text}\n`);
      told = images;
    }
  };
}

type Options = {
  readonly out: string;
  readonly grid: { readonly rows: number; readonly columns: number };
  readonly seed: number;
  readonly sampler?: 'ddpm' | 'ddim';
  readonly steps?: number;
  readonly scale: number;
  readonly device: 'cpu' | 'cuda';
  readonly workers?: number;
};

/** `processors` is the number of those at hand. */
export function sampleCommand(name: string, processors: number, env: NodeJS.ProcessEnv): Command {
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
    .option(
      '--workers <number>',
      'processes that draw; the images do not depend on it; default: one a processor, or one a GPU',
      workerCount,
    )
    .action(async (directory: string, { grid: cells, ...options }: Options) => {
      const drawn = await draw({
        run: directory,
        out: options.out,
        ...cells,
        seed: options.seed,
        sampler: options.sampler ?? null,
        steps: options.steps ?? null,
        scale: options.scale,
        device: options.device,
        workers: options.workers ?? null,
        processors,
        env,
        onProgress: progressOn(process.stderr, cells.rows * cells.columns),
        warn: (text) => process.stderr.write(`${text}\n`),
      });
      process.stdout.write(
        `${options.out}: ${cells.rows}x${cells.columns} images from the checkpoint of step ${drawn.step}\n`,
      );
    });
}
