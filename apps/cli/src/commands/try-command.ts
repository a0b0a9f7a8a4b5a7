/** `lockstep try`: what a trained network of one's own task is worth, and what it makes. */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { cacheDirectoryIn, deviceIn, kernelsIn } from '@lockstep/config';
import { loadEngineHere } from '@lockstep/engine';
import { figureTexts } from '../status/view.js';
import { tryRun, type Tried } from '../try/try.js';

type Options = {
  readonly prompt: string;
  readonly seed: number;
  readonly samples: number;
  readonly data?: string;
  readonly device: 'cpu' | 'cuda';
};

/** Of the test half: as many as tell an accuracy to half a percent, so that a large half takes no longer than it must. */
const USUAL_SAMPLES = 10_000;

function wholeNumberFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || !Number.isSafeInteger(value))
      throw new InvalidArgumentError(`write a whole number in ${least}..${Number.MAX_SAFE_INTEGER}.`);
    return value;
  };
}

/** Lines for a person, the sample last. */
export function triedLines({ task, step, measured, sample }: Tried): string[] {
  return [
    `${task}, the checkpoint of step ${step}, with the moving average of its weights`,
    measured === null
      ? 'the task has no test data to measure it on'
      : `on ${measured.samples} test samples: ${[`loss ${measured.loss.toFixed(4)}`, ...figureTexts(measured.figures)].join(', ')}`,
    ...(sample === null ? [] : ['', sample]),
  ];
}

/** The command; `env` is process.env itself: the engine's settings are put there. */
export function tryCommand(env: NodeJS.ProcessEnv): Command {
  return new Command('try')
    .description(
      "loss and figures of the newest checkpoint on the test data of your own task, and what the task's sample makes",
    )
    .argument('<directory>', 'directory of the run')
    .option('--prompt <text>', "what the task's sample goes on from", '')
    .option('--seed <number>', "of the sample's random numbers", wholeNumberFrom(0), 0)
    .option('--samples <number>', 'test samples that are measured, at most', wholeNumberFrom(1), USUAL_SAMPLES)
    .option('--data <path>', "data to measure on, as the task takes it; default: the run's")
    .addOption(new Option('--device <device>', 'where to compute').choices(['cpu', 'cuda']).default(deviceIn(env)))
    .action(async (directory: string, { prompt, seed, samples, data, device }: Options) => {
      const tried = await tryRun({
        directory,
        data: data === undefined ? null : resolve(data),
        prompt,
        seed,
        samples,
        engine: (engine) =>
          loadEngineHere({ device, threads: 1, cache: cacheDirectoryIn(env), engine, kernels: kernelsIn(env) }, env),
        warn: (text) => void process.stderr.write(`${text}\n`),
      });
      process.stdout.write(`${triedLines(tried).join('\n')}\n`);
    });
}
