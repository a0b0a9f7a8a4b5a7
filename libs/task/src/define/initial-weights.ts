/**
 * Weights that a task starts from, by its parameters' rules.
 *
 *   he-normal        normal, deviation sqrt(2 / in): He, Zhang, Ren and Sun, "Delving deep into rectifiers", 2015
 *   glorot-uniform   uniform within sqrt(6 / (in + out)): Glorot and Bengio, "Understanding the difficulty of training deep feedforward
 *                    neural networks", 2010
 *
 * in, out: what an output sums over and what an input goes to; of a kernel [height, width, in, out] times height and width.
 */
import { fillNormal, fillUniform, STREAMS, type RandomKey } from '../random/random.js';
import type { ParameterTable } from '../table/parameters.js';
import type { Initializer } from './definition.js';

function fans(shape: readonly number[]): { into: number; out: number } {
  const [into, out] = shape.length < 2 ? [shape[0] ?? 1, shape[0] ?? 1] : shape.slice(-2);
  const field = shape.slice(0, -2).reduce((product, extent) => product * extent, 1);
  return { into: into * field, out: out * field };
}

/** Fills a tensor; each has a random position of its own, so that no order of filling matters. */
function fill(values: Float32Array, shape: readonly number[], init: Initializer, key: RandomKey): void {
  const { into, out } = fans(shape);
  if (init === 'zeros') values.fill(0);
  else if (init === 'ones') values.fill(1);
  else if (init === 'glorot-uniform') fillUniform(values, Math.sqrt(6 / (into + out)), key);
  else if (init === 'he-normal') fillScaled(values, Math.sqrt(2 / into), key);
  else if ('normal' in init) fillScaled(values, init.normal, key);
  else fillUniform(values, init.uniform, key);
}

function fillScaled(values: Float32Array, deviation: number, key: RandomKey): void {
  fillNormal(values, key);
  for (let i = 0; i < values.length; i++) values[i] *= deviation;
}

/** [P], a function of table, rules and seed. @throws E_RANDOM_KEY */
export function initialWeights(table: ParameterTable, rules: readonly Initializer[], seed: number): Float32Array {
  const flat = new Float32Array(table.reduce((sum, { size }) => sum + size, 0));
  table.forEach(({ shape, offset, size }, position) =>
    fill(flat.subarray(offset, offset + size), shape, rules[position], {
      seed,
      stream: STREAMS.parameters,
      step: 0,
      position,
    }),
  );
  return flat;
}
