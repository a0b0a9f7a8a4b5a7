/** The states that a run can begin with. */
import type { StateArrays } from '@lockstep/base';

import type { Task } from './task.js';

/** State 0: weights from the seed, moments zero, the moving average equal to the weights. */
export function initialState(task: Pick<Task, 'initialWeights'>, seed: number): StateArrays {
  const weights = task.initialWeights(seed);
  return stateFrom({ weights, ema: weights });
}

/**
 * State 0 of a run that starts from another's state: its weights and moving average. The moments are zero: Adam divides them by what
 * they lack after so many steps from zero, and steps count from 0 again, so moments of an older training would come out too large.
 */
export function stateFrom({ weights, ema }: Pick<StateArrays, 'weights' | 'ema'>): StateArrays {
  return {
    weights: Float32Array.from(weights),
    expAvg: new Float32Array(weights.length),
    expAvgSq: new Float32Array(weights.length),
    ema: Float32Array.from(ema),
  };
}
