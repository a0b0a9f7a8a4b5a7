/** What a worker is at, in a word or two, for its timeline (libs/run, trace-file.ts). Pure. */
import type { TraceValues } from '@lockstep/run';
import type { State } from './state.js';

/** A stage's name and values, as Trace.stage takes them. */
export type Stage = readonly [name: string, values: TraceValues];

export function stageOf(state: State): Stage {
  const { early, reduction, busy, plan, have } = state;
  const step = have?.step ?? 0;
  if (busy?.kind === 'initialise') return ['initialise', {}];
  if (busy?.kind === 'load') return ['load', { step: busy.step }];
  if (busy?.kind === 'apply') return ['apply', { step }];
  // Beside a gradient, of which the compute thread tells.
  if (early?.stage === 'folding') return ['fold', { step, part: 'early' }];
  if (early?.stage === 'ringing') return ['ring', { step, part: 'early' }];
  if (reduction !== null) {
    switch (reduction.stage) {
      case 'waiting':
        return ['wait: before the sum', { step }];
      case 'folding':
        return ['fold', { step }];
      case 'folded':
        return ['wait: ring', { step }];
      case 'ringing':
        return ['ring', { step }];
      case 'summed':
        return ['wait: before the update', { step }];
      default:
        return reduction.stage satisfies never;
    }
  }
  if (busy?.kind === 'compute') return ['gradient', { step, microbatch: busy.microbatch }];
  return [plan === null ? 'wait: plan' : 'wait: others', { step }];
}
