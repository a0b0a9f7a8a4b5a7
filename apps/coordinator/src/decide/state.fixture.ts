/** States for tests. */
import { monotonicMs } from '#src/decide/clocks.js';
import { initialState, type State } from '#src/decide/state.js';

/** Of a new run that nobody has joined. */
export function newState(): State {
  const recovered = { committed: 0, generation: 0, checkpoint: null, numerics: null, reproducible: true };
  return initialState(recovered, { digestOf: () => 'd' }, monotonicMs(0));
}
