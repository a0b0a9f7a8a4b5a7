/** A compute thread that stands still in each gradient until the file HELD_LATCH is there; HELD_AT says that it does. */
import { existsSync, writeFileSync } from 'node:fs';
import { makeTrainer, serveCompute } from '@lockstep/worker/compute-service';

const LOOK_MS = 20;
const { HELD_LATCH: latch = '', HELD_AT: at = '' } = process.env;
const sleep = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

serveCompute((...given) => {
  const training = makeTrainer(...given);
  const compute = training.compute.bind(training);
  training.compute = (...asked) => {
    writeFileSync(at, '');
    while (!existsSync(latch)) Atomics.wait(sleep, 0, 0, LOOK_MS);
    return compute(...asked);
  };
  return training;
});
