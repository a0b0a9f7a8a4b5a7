/** The evaluate command, shared by `lockstep eval` and `nx run sampler:evaluate`. */
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { encodeEvaluation } from '@lockstep/run';
import { cacheDirectoryIn, runDirectoryIn } from '@lockstep/config';
import { SAMPLER_KINDS, type SamplerKind } from '@lockstep/diffusion';
import { CLASSIFIER_RECIPE } from '@lockstep/evaluation';
import { DATA_DOC, decimal, GUIDANCE_DOC, positive, wholeNumber, withMachine } from '../cli.js';
import { DrawingView } from '../draw/drawing-view.js';
import { evaluate } from './evaluate.js';
import { loadEvaluationData } from './evaluation-data.js';
import { evaluationLines } from './evaluation-table.js';

type Options = {
  readonly data?: string;
  readonly samples: number;
  readonly seed: number;
  readonly synthetic?: number;
  readonly guidance?: number;
  readonly sampler?: SamplerKind;
  readonly steps?: number;
  readonly device: 'cpu' | 'cuda';
  readonly workers?: number;
  readonly out?: string;
  readonly picture?: string;
  readonly json?: boolean;
};

/** `processors` is the number of those at hand; `env` is process.env itself: the engine's settings are put there. */
export function evaluateCommand(name: string, processors: number, env: NodeJS.ProcessEnv): Command {
  const command = new Command(name)
    .description(
      "judges samples of a run's newest checkpoint: quality, variety, memorisation; floor and ceiling beside",
    )
    .argument('[directory]', 'directory of the run', runDirectoryIn(env))
    .option('--data <folder>', DATA_DOC)
    .option('--samples <number>', 'images to draw; figures of different numbers do not compare', positive, 2000)
    .option(
      '--synthetic <number>',
      'labelled images to draw and train another classifier on, of a conditional network; it is tested on real ones',
      positive,
    )
    .option('--guidance <scale>', GUIDANCE_DOC, decimal)
    .option('--seed <number>', 'of the noise: the same seed gives the same images', wholeNumber, 0)
    .addOption(new Option('--sampler <name>', "default: the preset's").choices([...SAMPLER_KINDS]))
    .option('--steps <number>', "denoising steps; default: the sampler's", positive);
  return withMachine(command, env, 'figures')
    .option('--out <file>', 'JSON to write; default: DIR/evaluations/step-NNNNNNNN.json')
    .option('--picture <file>', 'PNG to write; default: beside the JSON of the run, .png')
    .option('--json', 'print the JSON in place of the table')
    .action(async (directory: string, options: Options) => {
      const { samples, seed, device, json } = options;
      const view = new DrawingView(process.stderr, env);
      const evaluated = await evaluate({
        run: directory,
        samples,
        seed,
        sampler: options.sampler ?? null,
        steps: options.steps ?? null,
        eta: null,
        variance: null,
        synthetic: options.synthetic ?? null,
        guidance: options.guidance ?? null,
        device,
        workers: options.workers ?? null,
        processors,
        env,
        out: options.out ?? null,
        picture: options.picture ?? null,
        classifier: CLASSIFIER_RECIPE,
        classifiers: join(cacheDirectoryIn(env), 'classifiers'),
        dataOf: (record) => loadEvaluationData(record, directory, options.data ?? null),
        wallNow: Date.now(),
        onPart: view.tell,
        onProgress: view.progress,
        warn: view.tell,
      }).finally(() => view.close());
      view.tell(`written: ${evaluated.out}, ${evaluated.picture}`);
      const told = evaluated.isPrinted ? process.stderr : process.stdout;
      told.write(
        json === true
          ? encodeEvaluation(evaluated.evaluation)
          : `${evaluationLines(evaluated.evaluation).join('\n')}\n`,
      );
    });
}
