/** An evaluation with figures that are all different, for tests. */
import type { Evaluation } from '#src/record/evaluation.js';

export const EVALUATION: Evaluation = {
  runId: 'run',
  step: 400,
  stateDigest: 'a'.repeat(64),
  dataDigest: 'b'.repeat(64),
  samples: 2000,
  sampler: { kind: 'ddim', steps: 50 },
  seed: 7,
  classifier: { digest: 'c'.repeat(64), testAccuracy: 0.994 },
  frechetDistance: { samples: 68.7, floor: 5.97, ceiling: 949 },
  frechetDistanceOfTestSet: 0.7,
  precision: { samples: 0.6, floor: 0.9, ceiling: 0 },
  coverage: { samples: 0.45, floor: 0.93, ceiling: 0.002 },
  recall: { samples: 0.5, floor: 0.91, ceiling: 0.01 },
  classes: {
    samples: { counts: [150, 250], chiSquared: 25, largestDeviation: 0.25 },
    floor: { counts: [190, 210], chiSquared: 1, largestDeviation: 0.05 },
    ceiling: { counts: [400, 0], chiSquared: 400, largestDeviation: 1 },
  },
  trainingDistance: {
    samples: { least: 2, onePercent: 3, median: 8 },
    floor: { least: 1.5, onePercent: 2.5, median: 7 },
    ceiling: { least: 20, onePercent: 21, median: 22 },
  },
  closestPairs: [{ label: 1, sample: 17, trainingImage: 59_999, distance: 2 }],
  noiseError: { heldOut: [0.1, 0.05, 0.02, 0.01], training: [0.09, 0.04, 0.015, 0.005] },
};
