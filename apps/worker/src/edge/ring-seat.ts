/** The worker's seat in the ring of the newest generation: taken, left, and what is summed over it. */
import { failureOf } from '@lockstep/base';
import type { AllReduceLink, Place } from '@lockstep/comm';
import type { Part } from '../compute/buckets.js';
import type { SumName } from '../decide/state.js';
import type { Computation } from './computation.js';
import type { DataPlane, Deciding } from './ports.js';

/** A step has a round for its early bucket, and one for the rest or the whole. */
function roundOf(step: number, part: Part): number {
  return 2 * step + (part === 'early' ? 0 : 1);
}

/** Why what goes on in a ring is given up. */
const LEFT = new Error('this worker left the ring');

export class RingSeat {
  private link: AllReduceLink | null = null;
  private abort = new AbortController();

  constructor(
    private readonly dataPlane: DataPlane,
    private readonly computation: Computation,
    private readonly deciding: Deciding,
  ) {}

  async join(generation: number, place: Place, heartbeatTimeoutMs: number): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const link = await this.dataPlane.joinRing({ generation, place, heartbeatTimeoutMs, signal: abort.signal });
      if (abort.signal.aborted) {
        link.close();
        return;
      }
      this.link = link;
      this.deciding.dispatch({ type: 'ringJoined', generation });
    } catch (error) {
      this.failed(generation, abort, error);
    }
  }

  leave(): void {
    this.abort.abort(LEFT);
    this.link?.close();
    this.link = null;
  }

  async allReduce({ generation, step, part }: SumName): Promise<void> {
    const { abort, link, computation } = this;
    try {
      if (link === null) throw new Error('the ring is not connected');
      const round = roundOf(step, part);
      const stats = await link.allReduce({ round, buffer: computation.toRing(part), signal: abort.signal });
      await computation.fromRing(part);
      const [milliseconds, bytes] = [stats.seconds * 1000, stats.bytesSent];
      this.deciding.dispatch({ type: 'summed', generation, step, part, milliseconds, bytes });
    } catch (error) {
      this.failed(generation, abort, error);
    } finally {
      this.deciding.dispatch({ type: 'ringReleased' });
    }
  }

  private failed(generation: number, abort: AbortController, error: unknown): void {
    if (abort.signal.aborted) return;
    const peer = error instanceof Error && 'peer' in error && typeof error.peer === 'string' ? error.peer : null;
    this.deciding.dispatch({ type: 'ringFailed', generation, peer, ...failureOf(error) });
  }
}
