/** The data of a defined task: what the author's `open` returned, looked at, and its microbatches. */
import { createHash } from 'node:crypto';
import type { Engine, TypedArray } from '@lockstep/engine';
import { MAX_SAMPLES } from '../batch/order.js';
import { microbatchIndices } from '../batch/samples.js';
import { TaskError } from '../errors.js';
import { STREAMS } from '../random/random.js';
import type { GradientFunction, Prepared, TaskData } from '../task.js';
import { shapeOf } from './body.js';
import { calling, Found, shown } from './checks.js';
import type { InputDefinition } from './definition.js';
import { lossGradient, type LossGraph } from './loss-graph.js';
import { sampleRandom } from './sample-random.js';

export type DataOptions = {
  readonly graph: Omit<LossGraph, 'inputs'>;
  readonly globalBatch: number;
  /** Digest of the files that the task has read until now; null: none. */
  readonly filesDigest: () => string | null;
};

const MAX_INPUTS = 64;

/**
 * What `open` returned as data. The first microbatch is made twice, so that mistakes of `batch` are found where the run starts.
 *
 * @throws E_TASK_OPEN, E_TASK_BATCH, E_TASK_IMPURE
 */
export function definedData(returned: unknown, { graph, globalBatch, filesDigest }: DataOptions): TaskData {
  const { file, figures, microbatchSize: n } = graph;
  const found = new Found(returned, `what open of ${file} returns`, 'E_TASK_OPEN');
  const count = found.at('count').integer(1, MAX_SAMPLES);
  const inputs = inputsOf(found.at('inputs'));
  const batch = found.at('batch').callable();
  const prepare = (seed: number, step: number, microbatch: number): Prepared => {
    const indices = microbatchIndices(seed, count, globalBatch, n, step, microbatch);
    const random = (place: number): ReturnType<typeof sampleRandom> => {
      if (!Number.isInteger(place) || place < 0 || place >= n)
        throw new TaskError(
          'E_TASK_BATCH',
          `batch asks for random(${place}): use a place from 0 to ${n - 1}, that of a sample in indices`,
        );
      return sampleRandom({ seed, stream: STREAMS.taskBatch, step, position: microbatch * n + place });
    };
    // A copy: what the author does to it must not change what is trained on.
    const made = calling('batch', 'E_TASK_BATCH', file, () => batch(indices.slice(), random));
    return { indices, inputs: checkedBatch(made, inputs, n) };
  };
  const first = digestOf(prepare(0, 0, 0).inputs);
  if (digestOf(prepare(0, 0, 0).inputs) !== first)
    throw new TaskError(
      'E_TASK_IMPURE',
      `batch of ${file}, asked twice for the same samples, gives different numbers: take random ones from random(place), not from Math.random, and keep nothing between calls`,
    );
  const own = found.at('digest').or('', (digest) => digest.text());
  const content = own === '' ? (filesDigest() ?? first) : own;
  return {
    digest: createHash('sha256').update(JSON.stringify({ count, inputs, content })).digest('hex'),
    count,
    description: found
      .at('description')
      .or(`${count} samples of ${inputs.map(inWords).join(', ')}`, (text) => text.text()),
    figures,
    prepare,
    gradient: (engine: Engine): GradientFunction => lossGradient(engine, { ...graph, inputs }),
  };
}

function inputsOf(found: Found): InputDefinition[] {
  const list = found.list();
  if (list.length < 1 || list.length > MAX_INPUTS)
    found.fail(`list 1 to ${MAX_INPUTS} inputs, { name, shape, dtype } each`);
  found.namesOf(list);
  return list.map((input) => {
    const shape = shapeOf(input.at('shape'));
    return { name: input.at('name').text(), shape, dtype: input.at('dtype').oneOf(['float32', 'int32']) };
  });
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function inWords({ name, shape, dtype }: InputDefinition): string {
  return `${name} ${dtype} [${shape.join()}]`;
}

/** What `batch` returned, if it is an array of the right type and length for each input. */
function checkedBatch(made: unknown, inputs: readonly InputDefinition[], n: number): TypedArray[] {
  if (!Array.isArray(made) || made.length !== inputs.length)
    throw new TaskError(
      'E_TASK_BATCH',
      `batch returns ${Array.isArray(made) ? `${made.length} arrays` : shown(made)}: return a list of ${inputs.length}, one for each of ${inputs.map(({ name }) => name).join(', ')}`,
    );
  return inputs.map((input, index) => {
    const values: unknown = made[index];
    const wanted = n * sizeOf(input.shape);
    const right = input.dtype === 'float32' ? values instanceof Float32Array : values instanceof Int32Array;
    if (right && isNumbers(values) && values.length === wanted) return values;
    const there = isNumbers(values) ? `a ${values.constructor.name} of ${values.length}` : shown(values);
    throw new TaskError(
      'E_TASK_BATCH',
      `batch returns ${there} for ${input.name}: return a ${input.dtype === 'float32' ? 'Float32Array' : 'Int32Array'} of ${wanted}, for ${n} samples of [${input.shape.join()}]`,
    );
  });
}

function isNumbers(value: unknown): value is TypedArray {
  return value instanceof Float32Array || value instanceof Int32Array;
}

function digestOf(arrays: readonly TypedArray[]): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of arrays) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex');
}
