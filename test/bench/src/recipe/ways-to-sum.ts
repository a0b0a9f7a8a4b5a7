/** Ways in which the gradients of a step can be summed; what each leaves of them is seen in the curves (exactness.ts). */
import { adamStep, globalNorm, philox4x32, type ParameterTable, type Task } from '@lockstep/task';
import {
  agreedExponents,
  summandOf,
  sumFormOf,
  sumGradients,
  type Arena,
  type Trainer,
} from '@lockstep/worker/compute';

/** The run whose gradients are summed. */
export interface Training {
  readonly task: Task;
  readonly trainer: Trainer;
  readonly arena: Arena;
}

/** Turns a step's gradients, in microbatch order, into the next state. */
type Update = (training: Training, step: number, gradients: readonly Float32Array[]) => void;

export interface Way {
  /** What the legend says. */
  readonly title: string;
  /** The run's own. */
  readonly wire: 'int32' | 'int16';
  readonly update: Update;
}

/** As Lockstep does it: integers, an exponent a tensor. */
const exact =
  (wire: Way['wire']): Update =>
  ({ task, trainer, arena }, step, gradients) => {
    const { table } = trainer;
    const form = sumFormOf({ wire }, task);
    const summands = gradients.map((gradient) => summandOf(gradient, table, form));
    const exponents = agreedExponents(summands, table);
    sumGradients(arena.sum, summands, table, exponents, form);
    trainer.apply(step, [...exponents], false);
  };

/** Updates with a mean that was made otherwise. */
function updateWith({ task, trainer, arena }: Training, step: number, mean: Float32Array): void {
  adamStep(arena.state, mean, task.updateAt(step, globalNorm(mean)));
  // Lets go of the gradients; the sum is not used.
  trainer.apply(step, [], true);
}

/** What a float32 all-reduce does: one rounding an addition, in one order or in reverse, as another ring order would add. */
const float32 =
  (order: 'in order' | 'in reverse'): Update =>
  (training, step, gradients) => {
    const mean = new Float32Array(gradients[0].length);
    for (const gradient of order === 'in order' ? gradients : gradients.toReversed())
      for (let at = 0; at < mean.length; at++) mean[at] += gradient[at];
    for (let at = 0; at < mean.length; at++) mean[at] /= gradients.length;
    updateWith(training, step, mean);
  };

/** Numbers that share an exponent: two bytes of it are 0.4 % of the block's own. */
const BLOCK = 256;
/** What the int16 blocks made of all gradients: blocks of one, numbers, and those that became zero though they were not. */
export const int16Blocks = { places: 0, numbers: 0, zeros: 0 };

/** The table cut into spans of at most BLOCK numbers, so that whatever works by tensors works by blocks. */
function blocksOf(table: ParameterTable): { name: string; offset: number; size: number }[] {
  return table.flatMap(({ name, offset, size }) =>
    Array.from({ length: Math.ceil(size / BLOCK) }, (_, block) => ({
      name: `${name}[${block}]`,
      offset: offset + block * BLOCK,
      size: Math.min(BLOCK, size - block * BLOCK),
    })),
  );
}

/** Adding and subtracting it rounds to an integer, ties to even. */
const TO_INTEGER = 1.5 * 2 ** 52;
const roundHalfEven = (x: number): number => x + TO_INTEGER - TO_INTEGER;

/** Of the random numbers that round: no other use has it. */
const ROUNDING_STREAM = 16;

/** The mean of the gradients, each rounded to int16 by nearest or by chance, so that no sum of them leaves int16. */
const int16 =
  (rounding: 'nearest' | 'by chance'): Update =>
  (training, step, gradients) => {
    const { task, trainer } = training;
    const spans = blocksOf(trainer.table);
    const form = sumFormOf({ wire: 'int32' }, task);
    const exponents = agreedExponents(
      gradients.map((gradient) => summandOf(gradient, spans, form)),
      spans,
    );
    const carry = Math.ceil(Math.log2(gradients.length));
    const most = 2 ** (15 - carry) - 1;
    // A block of zeros has an exponent far below all others.
    const units = Array.from(exponents, (exponent) => 2 ** Math.max(exponent - 15 + carry, -200));
    const mean = new Float32Array(gradients[0].length);
    const sum = new Int16Array(mean.length);
    const words = new Uint32Array(4);
    int16Blocks.places = spans.length;
    const rounded = (exactly: number, at: number, microbatch: number): number => {
      if (rounding === 'nearest') return roundHalfEven(exactly);
      if ((at & 3) === 0) philox4x32(words, at >>> 2, microbatch, step, 0, ROUNDING_STREAM, 0);
      return Math.floor(exactly + words[at & 3] / 2 ** 32);
    };
    gradients.forEach((gradient, microbatch) => {
      spans.forEach(({ offset, size }, span) => {
        for (let at = offset; at < offset + size; at++) {
          // Only what lies within half a unit of the block's exponent is cut off: one unit of error in place of a half.
          const kept = Math.max(-most, Math.min(most, rounded(gradient[at] / units[span], at, microbatch)));
          sum[at] += kept;
          int16Blocks.numbers++;
          if (kept === 0 && gradient[at] !== 0) int16Blocks.zeros++;
        }
      });
    });
    spans.forEach(({ offset, size }, span) => {
      const factor = units[span] / gradients.length;
      for (let at = offset; at < offset + size; at++) mean[at] = sum[at] * factor;
    });
    updateWith(training, step, mean);
  };

/** By the name that the command takes. */
export const WAYS: ReadonlyMap<string, Way> = new Map<string, Way>([
  ['exact', { title: 'int32, an exponent a tensor', wire: 'int32', update: exact('int32') }],
  ['exactInt16', { title: 'int16, an exponent a tensor', wire: 'int16', update: exact('int16') }],
  ['float32', { title: 'float32, in order', wire: 'int32', update: float32('in order') }],
  ['float32Reversed', { title: 'float32, in reverse', wire: 'int32', update: float32('in reverse') }],
  ['int16', { title: 'int16, an exponent a block', wire: 'int32', update: int16('nearest') }],
  ['int16Stochastic', { title: 'int16, blocks, stochastic', wire: 'int32', update: int16('by chance') }],
]);
