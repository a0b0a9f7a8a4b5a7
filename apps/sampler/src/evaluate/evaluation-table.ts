/** An evaluation as lines for a person: each figure with its floor and ceiling beside it. */
import type { Beside, Evaluation } from '@lockstep/run';

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const fixed =
  (digits: number) =>
  (value: number): string =>
    value.toFixed(digits);

/** A line: what, samples, floor, ceiling. */
type Row = readonly [string, string, string, string];

function row<T>(name: string, { samples, floor, ceiling }: Beside<T>, text: (value: T) => string): Row {
  return [name, text(samples), text(floor), text(ceiling)];
}

/** The lines of a table; `floor` is as many real test images, `ceiling` as many images of noise. */
export function evaluationLines(evaluation: Evaluation): string[] {
  const { step, samples, seed, classifier, classes, trainingDistance, noiseError } = evaluation;
  const fair = samples / classes.samples.counts.length;
  const figures: Row[] = [
    ['', 'samples', 'floor', 'ceiling'],
    row('LeNet-FD to the training set', evaluation.frechetDistance, fixed(2)),
    row('precision', evaluation.precision, percent),
    row('recall', evaluation.recall, percent),
    row('coverage', evaluation.coverage, percent),
    row('classes: largest deviation from equal', classes, ({ largestDeviation }) => percent(largestDeviation)),
    row(`classes: chi^2, ${classes.samples.counts.length - 1} by chance`, classes, ({ chiSquared }) =>
      fixed(1)(chiSquared),
    ),
    row('distance to the nearest training image', trainingDistance, ({ median }) => fixed(2)(median)),
    row('  of the nearest 1 %', trainingDistance, ({ onePercent }) => fixed(2)(onePercent)),
    row('  of the nearest', trainingDistance, ({ least }) => fixed(2)(least)),
  ];
  const quarters = noiseError.heldOut.map((_, i) => `${i + 1}/4`);
  const errors = [
    ['noise error, t in quarter', ...quarters],
    ['  of test images (1: none predicted)', ...noiseError.heldOut.map(fixed(4))],
    ['  of training images', ...noiseError.training.map(fixed(4))],
  ];
  const ratio = trainingDistance.samples.median / trainingDistance.floor.median;
  return [
    `step ${step}, ${samples} samples, seed ${seed}, ${describeSampler(evaluation.sampler)}`,
    `classifier ${classifier.digest.slice(0, 12)}: ${percent(classifier.testAccuracy)} of the test images right` +
      (classifier.testAccuracy < RELIABLE ? '; too few for its features, and the classes it sees, to say much' : ''),
    `data ${evaluation.dataDigest.slice(0, 12)}: with figures of other data, or by another classifier, these do not compare`,
    '',
    ...aligned(figures),
    '',
    ...aligned(errors),
    '',
    `samples a class (equal: ${fixed(0)(fair)}): ${classes.samples.counts.join(' ')}`,
    `LeNet-FD of all test images: ${fixed(2)(evaluation.frechetDistanceOfTestSet)}; of the samples: ` +
      `${fixed(1)(evaluation.frechetDistance.samples / evaluation.frechetDistance.floor)} times the floor`,
    ...syntheticLine(evaluation),
    `samples are ${fixed(2)(ratio)} times as far from training images as test images are: ` +
      (ratio < MEMORISED ? 'below 1, as where images are learned by heart' : 'not learned by heart'),
  ];
}

function syntheticLine({ syntheticTraining: of, classifier }: Evaluation): string[] {
  if (of === undefined) return [];
  return [
    `a classifier trained on ${of.samples} samples has ${percent(of.testAccuracy)} of the test images right (on real ones: ` +
      `${percent(classifier.testAccuracy)})`,
  ];
}

/** Whoever reads fewer of real images cannot be believed about samples. */
const RELIABLE = 0.8;

/** Test images are as near to training images as images of the same source come; samples below that are suspect. */
const MEMORISED = 0.9;

function describeSampler(sampler: Evaluation['sampler']): string {
  if (typeof sampler !== 'object' || sampler === null || Array.isArray(sampler)) return JSON.stringify(sampler);
  return Object.entries(sampler)
    .map(([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}

/** The first column to the left, the others to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((cells) => cells[column].length)));
  return rows.map((cells) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column] + 2)))
      .join('')
      .trimEnd(),
  );
}
