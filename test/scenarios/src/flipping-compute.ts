/**
 * A compute thread that flips one bit of every gradient after its first CHAOS_HONEST, before anybody has looked at it. Of every one: a
 * single gradient may be one that nobody asks for any more, as another worker was faster.
 */
import { writeSync } from 'node:fs';
import { makeTrainer, serveCompute } from '@lockstep/worker/compute-service';

/** The highest bit of a float32's fraction: a change that rounding does not hide. */
const BIT = 1 << 22;

/** Flips a bit of the largest element. */
function flip(values: Float32Array): void {
  let largest = 0;
  for (let index = 1; index < values.length; index++)
    if (Math.abs(values[index]) > Math.abs(values[largest])) largest = index;
  new Uint32Array(values.buffer, values.byteOffset, values.length)[largest] ^= BIT;
}

let honest = Number(process.env['CHAOS_HONEST']);
let isTold = false;

serveCompute((...given) => {
  const training = makeTrainer(...given);
  const compute = training.gradient.bind(training);
  training.gradient = (step, microbatch, into, onEarly) => {
    const mean = compute(step, microbatch, into, () => {
      if (honest <= 0) {
        // The second half is in the early bucket, which is looked at as soon as it is there.
        flip(into.subarray(into.length >> 1));
        // At once: what a thread writes to process.stdout waits for the main thread, which ends when the flip is noticed.
        if (!isTold) writeSync(1, 'flipped a bit\n');
        isTold = true;
      }
      onEarly?.();
    });
    honest -= 1;
    return mean;
  };
  return training;
});
