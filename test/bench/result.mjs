/**
 * The one shape of a benchmark's result. A part's script prints {bench, rows, ...details} as JSON on stdout; details are the part's
 * own (times of the step's parts, points of a curve), rows are what goes into the table and is held against a goal. `print` adds on what
 * machine it was measured.
 *
 * Figures: {min, median, max, samples} of the samples (summary.mjs), in the row's unit, in that order. A row:
 *   name, unit   what was measured, in what
 *   ours         Figures of Lockstep
 *   peer         {name, version, ...Figures}, or null: there is no peer, or it was not there
 *   ratio        Figures of ours over the peer's (of pairs that were taken in turns, where there are pairs), or null
 *   goal         {of: 'ratio' | 'ours', atMost | atLeast: number}, or null; the median is held against it
 *   met          true, false, or null: there is no goal, or what it is about was not measured
 */

import { describeMachine } from './machine.mjs';

/** Gives out what a script measured, and on what processor. */
export function print(result) {
  console.log(JSON.stringify({ machine: describeMachine(), ...result }, null, 2));
}

/** @returns {object} the row, with `met` worked out */
export function row({ name, unit, ours, peer = null, ratio = null, goal = null }) {
  return { name, unit, ours, peer, ratio, goal, met: isMet({ ours, ratio, goal }) };
}

function isMet({ ours, ratio, goal }) {
  if (goal === null) return null;
  const value = { ratio, ours }[goal.of]?.median;
  if (value === undefined) return null;
  return goal.atMost === undefined ? value >= goal.atLeast : value <= goal.atMost;
}

/** Ratio of two figures that were not taken in pairs: of their medians, and of their best (`best`: 'min' or 'max'). */
export function ratioOf(ours, peer, best) {
  const [ofMedians, ofBest] = [ours.median / peer.median, ours[best] / peer[best]];
  return { min: Math.min(ofMedians, ofBest), median: ofMedians, max: Math.max(ofMedians, ofBest), samples: 1 };
}

/** Throws unless this is a part's result: a script that changed its output must not end in an empty table. */
export function checkResult(value) {
  const problem = problemOf(value);
  if (problem !== null) throw new Error(`not a benchmark's result: ${problem}`);
  return value;
}

function problemOf(value) {
  if (typeof value?.bench !== 'string') return 'it has no name (bench)';
  if (!Array.isArray(value.rows) || value.rows.length === 0) return `${value.bench} has no rows`;
  for (const { name, unit, ours, peer, ratio, goal } of value.rows) {
    if (typeof name !== 'string' || typeof unit !== 'string') return `a row of ${value.bench} has no name or unit`;
    if (!areFigures(ours)) return `${name}: ours is not {min, median, max, samples} in that order`;
    if (peer !== null && !(areFigures(peer) && typeof peer.name === 'string' && typeof peer.version === 'string'))
      return `${name}: the peer is not {name, version, min, median, max, samples}`;
    if (ratio !== null && !areFigures(ratio)) return `${name}: ratio is not {min, median, max, samples}`;
    if (goal !== null && !(goal.of in { ratio: 1, ours: 1 } && Number.isFinite(goal.atMost ?? goal.atLeast)))
      return `${name}: the goal is not {of, atMost | atLeast}`;
  }
  return null;
}

/** Also those that are no order of any samples are none: a median outside of least and most has lost a sample on its way. */
function areFigures(value) {
  const { min, median, max, samples } = value ?? {};
  const known = [min, median, max].every(Number.isFinite) && Number.isInteger(samples) && samples > 0;
  return known && min <= median && median <= max;
}
