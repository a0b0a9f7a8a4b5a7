/** Whole training states, from others to this worker and from it to others. */
import { encodedStateBytes } from '@lockstep/run';
import { failureOf } from '@lockstep/base';
import type { StateArrays } from '@lockstep/base';
import type { Effect } from '../decide/state.js';
import type { Computation } from './computation.js';
import type { Deciding, WorkerPorts } from './ports.js';

type Load = Extract<Effect, { type: 'load' }>;

export class StateTransfer {
  constructor(
    /** The coordinator's base URL, http://host:port. */
    private readonly coordinator: string,
    private readonly ports: Pick<WorkerPorts, 'clock' | 'fetchState' | 'log'>,
    private readonly computation: Computation,
    private readonly deciding: Deciding,
  ) {}

  /** Takes the state from the first source that gives it. `stallMs`: how long one may send nothing. */
  async load({ generation, step, digest, sources }: Load, stallMs: number): Promise<void> {
    const { clock, fetchState } = this.ports;
    const failures: string[] = [];
    for (const path of sources) {
      const source = path.startsWith('/') ? this.coordinator + path : path;
      const started = clock.now();
      try {
        const { parameters: length, arithmetic } = this.computation;
        const state = await fetchState(source, { step, digest, arithmetic, length, stallMs });
        if (this.deciding.over) return;
        if (!this.mayReplaceState(step, digest)) {
          const message = `state ${step} came, but a newer plan does not start from it`;
          this.deciding.dispatch({ type: 'loadFailed', generation, code: 'E_STATE_OUTDATED', message });
          return;
        }
        this.take(state, step, digest, source, clock.now() - started);
        return;
      } catch (error) {
        failures.push(`${source}: ${failureOf(error).message}`);
      }
    }
    this.deciding.dispatch({
      type: 'loadFailed',
      generation,
      code: 'E_STATE_UNAVAILABLE',
      message: `no source gave state ${step}: ${failures.join('; ')}`,
    });
  }

  /** A state that this worker holds or retained; null if it has none of that step, or not whole. */
  served(wanted: number): StateArrays | null {
    const { retained } = this.computation;
    if (retained?.step === wanted) return retained.state;
    const { have, busy } = this.deciding.state;
    const whole = busy?.kind !== 'apply' && busy?.kind !== 'load' && busy?.kind !== 'initialise';
    // A copy, as the next step may be applied before the last byte is sent.
    return have?.step === wanted && whole ? this.computation.snapshot() : null;
  }

  /** A newer plan may have come during the transfer: it may want the state in memory, and a sum may be reading that. */
  private mayReplaceState(wanted: number, digest: string): boolean {
    const { plan, summing } = this.deciding.state;
    return summing === null && plan?.step === wanted && plan.digest === digest;
  }

  private take(state: StateArrays, step: number, digest: string, source: string, milliseconds: number): void {
    const found = this.computation.replace(state);
    const bytes = encodedStateBytes(this.computation.parameters);
    const megabytesASecond = bytes / 1e3 / Math.max(1, milliseconds);
    this.ports.log(
      'info',
      `loaded state ${step} from ${source}: ${(bytes / 1e6).toFixed(1)} MB at ${megabytesASecond.toFixed(0)} MB/s, digest verified`,
    );
    if (found === digest) this.deciding.dispatch({ type: 'loaded', step, digest, source, bytes, milliseconds });
    else this.deciding.dispatch({ type: 'corrupt', what: `state ${step} changed in memory while it was copied` });
  }
}
