/** What a task's `create` returns, looked at, with its defaults filled in. */
import { TaskError } from '../errors.js';
import type { ParameterTable } from '../table/parameters.js';
import type { Found } from './checks.js';
import type { Initializer } from './definition.js';
import type { DefinedRecipe } from './options.js';

/** Bounds that a mistake passes and a real task does not. */
const MAX_STEPS = 2 ** 31;
const MAX_BATCH = 2 ** 20;
const MAX_TENSORS = 10_000;
const MAX_RANK = 8;
/** Numbers of a tensor: 1 GiB. */
const MAX_VALUES = 2 ** 28;
/** A worker says them with each microbatch, in a message of which libs/comm takes no more. */
const MAX_FIGURES = 64;
/** Microbatches in a step where the author says nothing of it: work for some workers. */
const USUAL_MICROBATCHES = 8;
const RULES = ['zeros', 'ones', 'he-normal', 'glorot-uniform'] as const;

export type Call = (...given: unknown[]) => unknown;

export type Optimizer = {
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly finalFraction: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly maxGradientNorm: number | null;
  readonly ema: number;
};

function optimizerOf(found: Found): Optimizer {
  const fraction = (name: string, usual: number): number => found.at(name).or(usual, (value) => value.number(0, 1));
  const below = (name: string, usual: number): number => found.at(name).or(usual, (value) => value.number(0, 0.999999));
  return {
    learningRate: found.at('learningRate').number(0, 1e6),
    warmupSteps: found.at('warmupSteps').or(0, (value) => value.integer(0, MAX_STEPS)),
    finalFraction: fraction('finalFraction', 0),
    beta1: below('beta1', 0.9),
    beta2: below('beta2', 0.999),
    eps: found.at('eps').or(1e-8, (value) => value.number(0, 1)),
    maxGradientNorm: found
      .at('maxGradientNorm')
      .or<number | null>(null, (value) => (value.raw() === null ? null : value.number(0, 1e30))),
    ema: fraction('ema', 0.999),
  };
}

function initializerOf(found: Found): Initializer {
  if (typeof found.raw() === 'string') return found.oneOf(RULES);
  const [normal, uniform] = [found.at('normal'), found.at('uniform')];
  if (!normal.missing && uniform.missing) return { normal: normal.number(0, 1e6) };
  if (!uniform.missing && normal.missing) return { uniform: uniform.number(0, 1e6) };
  return found.fail('use zeros, ones, he-normal, glorot-uniform, { normal: deviation } or { uniform: bound }');
}

export type Body = {
  readonly steps: number;
  readonly globalBatch: number;
  readonly microbatchSize: number;
  readonly table: ParameterTable;
  /** Of each tensor of the table. */
  readonly rules: readonly Initializer[];
  readonly optimizer: Optimizer;
  readonly figures: readonly string[];
  readonly open: Call;
  readonly loss: Call;
  readonly sample: Call | null;
};

/** @param given what takes the place of what the author says. @throws E_TASK_CREATE */
export function bodyOf(found: Found, given: DefinedRecipe['given']): Body {
  const parameters = found.at('parameters').list();
  if (parameters.length < 1 || parameters.length > MAX_TENSORS)
    found.at('parameters').fail(`list 1 to ${MAX_TENSORS} of them, { name, shape, init } each`);
  found.at('parameters').namesOf(parameters);
  const globalBatch = given['globalBatch'] ?? found.at('globalBatch').integer(1, MAX_BATCH);
  const optimizer = optimizerOf(found.at('optimizer'));
  return {
    steps: given['steps'] ?? found.at('steps').integer(1, MAX_STEPS),
    globalBatch,
    microbatchSize: microbatchSizeOf(given['microbatchSize'], found.at('microbatchSize'), globalBatch),
    table: tableOfParameters(parameters),
    rules: parameters.map((parameter) => initializerOf(parameter.at('init'))),
    optimizer: {
      ...optimizer,
      learningRate: given['learningRate'] ?? optimizer.learningRate,
      warmupSteps: given['warmupSteps'] ?? optimizer.warmupSteps,
      ema: given['emaDecay'] ?? optimizer.ema,
    },
    figures: found.at('figures').or<string[]>([], figuresOf),
    open: found.at('open').callable(),
    loss: found.at('loss').callable(),
    sample: found.at('sample').or<Call | null>(null, (sample) => sample.callable()),
  };
}

function figuresOf(found: Found): string[] {
  const names = found.names();
  return names.length > MAX_FIGURES ? found.fail(`name at most ${MAX_FIGURES}`) : names;
}

function microbatchSizeOf(given: number | undefined, found: Found, globalBatch: number): number {
  const usual = globalBatch % USUAL_MICROBATCHES === 0 ? globalBatch / USUAL_MICROBATCHES : globalBatch;
  const size = given ?? found.or(usual, (value) => value.integer(1, globalBatch));
  if (globalBatch % size === 0) return size;
  throw new TaskError(
    'E_TASK_CREATE',
    `microbatches of ${size} do not divide a global batch of ${globalBatch}: choose sizes that do`,
  );
}

function tableOfParameters(parameters: readonly Found[]): ParameterTable {
  let end = 0;
  return parameters.map((parameter) => {
    const shape = shapeOf(parameter.at('shape'));
    const size = shape.reduce((product, extent) => product * extent, 1);
    const offset = end;
    end += size;
    return { name: parameter.at('name').text(), shape, offset, size };
  });
}

/** A list of positive whole numbers. */
export function shapeOf(found: Found): number[] {
  const shape = found.list().map((extent) => extent.integer(1, MAX_VALUES));
  if (shape.length > MAX_RANK) found.fail(`use at most ${MAX_RANK} axes`);
  if (shape.reduce((product, extent) => product * extent, 1) > MAX_VALUES)
    found.fail(`its product must be at most ${MAX_VALUES}`);
  return shape;
}
