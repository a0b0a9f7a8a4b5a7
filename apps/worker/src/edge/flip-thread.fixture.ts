/** A compute thread whose memory fails: the first bit of a gradient flips while the next one is being computed. */
import { makeTrainer, serveCompute } from '#src/compute/compute-service.js';

serveCompute((...given) => {
  const trainer = makeTrainer(...given);
  let previous: Float32Array<SharedArrayBuffer> | null = null;
  return {
    table: trainer.table,
    try: () => trainer.try(),
    probe: () => trainer.probe(),
    gradient: (step, microbatch, into, onEarly) => trainer.gradient(step, microbatch, into, onEarly),
    prepare: (step, microbatches) => trainer.prepare(step, microbatches),
    compute: (step, microbatch, onEarly) => {
      if (previous !== null) new Uint8Array(previous.buffer)[0] ^= 1;
      const gradient = trainer.compute(step, microbatch, onEarly);
      previous = gradient.values;
      return gradient;
    },
    apply: (step, exponents, skip) => {
      previous = null;
      return trainer.apply(step, exponents, skip);
    },
  };
});
