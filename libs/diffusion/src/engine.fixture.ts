/** The engine and a tiny task, as the tests of the network share them. */
import { cacheDirectoryIn } from '@lockstep/config';
import { type Engine, type TypedArray, engineDirectory, engineEnvironment, loadEngine } from '@lockstep/engine';

import type { MicrobatchTask } from '#src/training/microbatch.js';
import { imageShapeOf } from '#src/network/model.js';
import { PRESETS } from '#src/recipe/presets.js';
import { blocksOf, STREAMS } from '@lockstep/task';
import { makeSchedule } from '#src/training/schedule.js';

/** One thread, as a worker has. */
export function testEngine(): Engine {
  const setting = { device: 'cpu', threads: 1 } as const;
  Object.assign(process.env, engineEnvironment(setting));
  return loadEngine({ ...setting, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)) });
}

/** Sixty-four images of random bytes under the tiny preset. */
export function tinyTask(): MicrobatchTask {
  const count = 64;
  const words = new Uint32Array(4);
  const blocks = blocksOf({ seed: 1, stream: STREAMS.noise, step: 0, position: 0 });
  const images = Uint8Array.from({ length: count * 784 }, (_, i) => {
    if (i % 4 === 0) {
      blocks(words, i / 4);
    }
    return words[i % 4] & 255;
  });
  const { globalBatch, microbatchSize, timesteps, lossWeighting, prediction, networkTime, labelDrop, schedule } =
    PRESETS.tiny;
  return {
    seed: 5,
    dataset: {
      images,
      labels: images.slice(0, count).map((byte) => byte % 10),
      count,
      shape: imageShapeOf(PRESETS.tiny.model),
    },
    schedule: makeSchedule(schedule),
    globalBatch,
    microbatchSize,
    timesteps,
    lossWeighting,
    prediction,
    networkTime,
    classes: PRESETS.tiny.model.classes,
    labelDrop,
  };
}

/** An output of the engine that is float32 by construction. */
export function floats(data: TypedArray): Float32Array {
  if (!(data instanceof Float32Array)) {
    throw new TypeError('not float32');
  }
  return data;
}

/** Gradient [P] and losses from a gradient function's outputs. */
export function wholeGradient(outputs: readonly TypedArray[]): { gradient: Float32Array; losses: Float32Array } {
  const [early, losses, late] = outputs.map(floats);
  return { gradient: Float32Array.from([...late, ...early]), losses };
}
