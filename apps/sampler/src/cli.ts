/** The sample command, shared by `lockstep sample` and `nx run sampler:sample`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { deviceIn, runDirectoryIn } from '@lockstep/config';
import { SAMPLER_KINDS, shownName, type SamplerKind } from '@lockstep/diffusion';
import { draw } from './draw/draw.js';
import { DrawingView } from './draw/drawing-view.js';

const MOST_CELLS = 100;
/** Each worker is a process of some hundred MB: more on one machine is a slip. */
const MOST_WORKERS = 1024;

/** Commander names the option and what was written, and adds this. */
function refuse(rule: string): never {
  throw new InvalidArgumentError(`E_SAMPLE_OPTION: ${rule}`);
}

function grid(text: string): { rows: number; columns: number } {
  const [, rows, columns] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  const parsed = { rows: Number(rows), columns: Number(columns) };
  if (!(parsed.rows >= 1 && parsed.columns >= 1 && parsed.rows <= MOST_CELLS && parsed.columns <= MOST_CELLS))
    refuse(`write ROWSxCOLUMNS, each from 1 to ${MOST_CELLS}, for example 8x8.`);
  return parsed;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    refuse(`write a whole number in 0..${Number.MAX_SAFE_INTEGER}.`);
  return value;
}

export function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || !Number.isSafeInteger(value))
    refuse(`write a whole number in 1..${Number.MAX_SAFE_INTEGER}.`);
  return value;
}

function workerCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > MOST_WORKERS) refuse(`write a whole number in 1..${MOST_WORKERS}.`);
  return value;
}

export function decimal(text: string): number {
  if (!/^(\d+\.?\d*|\.\d+)$/.test(text)) refuse('write a number, 0 or more, for example 1.5.');
  return Number(text);
}

function oneOf<const T extends string>(...words: readonly T[]): (text: string) => T {
  return (text) => words.find((word) => word === text) ?? refuse(`use one of ${words.join(', ')}.`);
}

function animationFile(text: string): string {
  if (!/\.(a?png|gif)$/i.test(text)) refuse('name a file .png or .apng (both APNG), or .gif.');
  return text;
}

export const DATA_DOC =
  "where the run's data is now, if it was moved since the run began; its digest tells whether it is the same";

export const GUIDANCE_DOC =
  'how strongly the class guides: 0 not at all, 1 as trained, more exaggerates (default: 2; twice the time of 0 and 1)';

type Options = {
  readonly out: string;
  readonly animate?: string;
  readonly grid: { readonly rows: number; readonly columns: number };
  readonly class?: string;
  readonly allClasses?: boolean;
  readonly guidance?: number;
  readonly seed: number;
  readonly sampler?: SamplerKind;
  readonly steps?: number;
  readonly eta?: number;
  readonly variance?: 'beta' | 'posterior';
  readonly scale: number;
  readonly device: 'cpu' | 'cuda';
  readonly workers?: number;
};

/** `processors` is the number of those at hand. */
export function sampleCommand(name: string, processors: number, env: NodeJS.ProcessEnv): Command {
  return optionsOf(new Command(name), env)
    .description("draws a grid of images from a run's newest checkpoint, with its EMA weights")
    .argument('[directory]', 'directory of the run', runDirectoryIn(env))
    .action(async (directory: string, { grid: cells, ...options }: Options) => {
      const view = new DrawingView(process.stderr, env);
      const drawn = await draw({
        run: directory,
        out: options.out,
        animate: options.animate ?? null,
        ...cells,
        class: options.class ?? null,
        allClasses: options.allClasses ?? false,
        guidance: options.guidance ?? null,
        seed: options.seed,
        sampler: options.sampler ?? null,
        steps: options.steps ?? null,
        eta: options.eta ?? null,
        variance: options.variance ?? null,
        scale: options.scale,
        device: options.device,
        workers: options.workers ?? null,
        processors,
        env,
        onProgress: view.progress,
        warn: view.tell,
      }).finally(() => view.close());
      const files = [options.out, ...(options.animate === undefined ? [] : [options.animate])].join(', ');
      const told = drawn.isPrinted ? process.stderr : process.stdout;
      const rows = drawn.rowNames.map((name, row) => `row ${row}: ${shownName(name)}`);
      const lines = [
        `${files}: ${drawn.rows}x${drawn.columns} images from the checkpoint of step ${drawn.step}`,
        ...rows,
      ];
      told.write(`${lines.join('\n')}\n`);
    });
}

/** Where images are drawn; `what` does not depend on it. */
export function withMachine(command: Command, env: NodeJS.ProcessEnv, what: 'figures' | 'images'): Command {
  return command
    .addOption(new Option('--device <device>', 'where to compute').choices(['cpu', 'cuda']).default(deviceIn(env)))
    .option(
      '--workers <number>',
      `processes that draw; the ${what} do not depend on it; default: one a processor, or one a GPU`,
      workerCount,
    );
}

function optionsOf(command: Command, env: NodeJS.ProcessEnv): Command {
  command
    .option('--out <file>', 'PNG to write', 'samples.png')
    .option(
      '--animate <file>',
      'animation of the denoising to write as well: .png or .apng (APNG), or .gif',
      animationFile,
    )
    .addOption(
      new Option('--grid <rows>x<columns>', 'images in the grid')
        .default({ rows: 8, columns: 8 }, '8x8')
        .argParser(grid),
    )
    .option(
      '--class <name>',
      'class of all images, by its name in the data or its number, or none; default: every class in turn',
    )
    .option('--all-classes', 'a row for each class, with its name at the left; of --grid only the columns count')
    .option('--guidance <scale>', GUIDANCE_DOC, decimal)
    .option('--seed <number>', 'of the noise: the same seed gives the same images', wholeNumber, 0)
    .option('--sampler <name>', `${SAMPLER_KINDS.join(', ')}; default: the preset's`, oneOf(...SAMPLER_KINDS))
    .option('--steps <number>', "denoising steps; default: the sampler's", positive)
    .option('--eta <number>', 'fresh noise of ddim, from 0 (none) to 1 (as ddpm); default: 0', decimal)
    .option(
      '--variance <name>',
      'fresh noise of ddpm: beta or the smaller posterior; default: beta',
      oneOf('beta', 'posterior'),
    )
    .option('--scale <number>', 'enlargement in whole pixels', positive, 2);
  return withMachine(command, env, 'images');
}
