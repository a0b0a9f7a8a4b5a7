/**
 * The rings of all generations. Keeps what matters of a real one: it joins only when every member came, a member gets the
 * sum only if all gave theirs, and when one is lost in the middle some of the others may still have finished.
 */
import { RingError, type AllReduceLink, type Place, type RingStats } from '@lockstep/comm';
import type { SumArray } from '@lockstep/exact';
import { HEARTBEAT_TIMEOUT_MS, type Cluster } from './cluster.js';
import type { WorkerNode } from './worker-node.js';

/** A ring that is left lets go of the sum after so long at most; who waits in it is told later. Milliseconds. */
const RELEASE_MS = 60;

interface Ring {
  readonly generation: number;
  readonly size: number;
  /** By member: who comes after it. */
  readonly successors: Map<string, string>;
  readonly seats: Map<string, Seat>;
  /** What members gave to the all-reduce that they wait in. */
  readonly given: Map<string, SumArray>;
  round: number;
  readonly finished: Set<string>;
  broken: string | null;
  /** A link of it swallows everything: no sum arrives, and after a while both of its ends say so. */
  stalled: readonly [WorkerNode, WorkerNode] | null;
}

interface Waiting {
  readonly round: number;
  readonly buffer: SumArray;
  readonly resolve: (stats: RingStats) => void;
  readonly reject: (error: Error) => void;
}

/** A member's place in a ring. */
class Seat implements AllReduceLink {
  failure: RingError | null = null;
  readonly droppedFrames = 0;
  left = false;
  private joining: { readonly resolve: (seat: Seat) => void; readonly reject: (error: Error) => void } | null = null;
  private waiting: Waiting | null = null;
  private lastRound = -1;

  constructor(
    readonly node: WorkerNode,
    readonly ring: Ring,
    private readonly hub: RingHub,
  ) {}

  get generation(): number {
    return this.ring.generation;
  }

  joined(): Promise<Seat> {
    return new Promise((resolve, reject) => (this.joining = { resolve, reject }));
  }

  formed(): void {
    this.joining?.resolve(this);
    this.joining = null;
  }

  /** Whether it reads or writes what is at this place of the memory. */
  uses(memory: SumArray, index: number): boolean {
    if (this.waiting === null) return false;
    const { buffer } = this.waiting;
    const at = memory.byteOffset + index * memory.BYTES_PER_ELEMENT;
    return buffer.buffer === memory.buffer && at >= buffer.byteOffset && at < buffer.byteOffset + buffer.byteLength;
  }

  allReduce({ round, buffer }: { round: number; buffer: SumArray }): Promise<RingStats> {
    const { node, failure } = this;
    if (this.waiting !== null || round <= this.lastRound)
      node.cluster.violation(`${node.id} gives the ring round ${round} after round ${this.lastRound}`);
    this.lastRound = round;
    if (failure !== null || this.left) return Promise.reject(failure ?? this.aborted());
    return new Promise((resolve, reject) => {
      this.waiting = { round, buffer, resolve, reject };
      this.hub.given(this, round, buffer);
    });
  }

  deliver(total: readonly number[]): void {
    const { waiting } = this;
    if (waiting === null || this.left) return;
    this.waiting = null;
    waiting.buffer.set(total);
    const { round } = waiting;
    waiting.resolve({
      ...{ round, bytesSent: 4, bytesReceived: 4, segmentsSent: 1, seconds: 0.001, droppedFrames: 0 },
      peakQueuedBytes: 4,
    });
  }

  fail(peer: string): void {
    if (this.left || this.failure !== null) return;
    this.failure = new RingError('E_RING_PEER_LOST', `lost ${peer}`, peer);
    this.joining?.reject(this.failure);
    this.joining = null;
    this.waiting?.reject(this.failure);
    this.waiting = null;
  }

  close(): void {
    if (this.left) return;
    this.left = true;
    this.hub.leave(this);
    this.joining?.reject(this.aborted());
    this.joining = null;
    // What it still sends is read from the sum.
    this.node.later(0, RELEASE_MS, () => {
      this.waiting?.reject(this.aborted());
      this.waiting = null;
    });
  }

  private aborted(): RingError {
    return new RingError('E_RING_ABORTED', 'the ring was left');
  }
}

export class RingHub {
  private readonly rings = new Map<number, Ring>();
  /** Of each member, newest last. */
  private readonly seats = new Map<WorkerNode, Seat[]>();

  constructor(private readonly cluster: Cluster) {}

  /** With two tiers the rings of a generation are one here: what one of them loses, all lose. */
  async join(node: WorkerNode, generation: number, place: Place, signal: AbortSignal): Promise<AllReduceLink> {
    await node.wait(0, 5);
    if (signal.aborted) throw new RingError('E_RING_ABORTED', 'the ring was left');
    const ring = this.ringOf(generation, place.total);
    const { leaders } = place;
    // A leader without a group has links to other leaders only.
    const { successor } = place.size === 1 && leaders !== null ? leaders : place;
    const seat = new Seat(node, ring, this);
    const joined = seat.joined();
    signal.addEventListener('abort', () => seat.close(), { once: true });
    if (ring.broken !== null) {
      this.fail(seat, ring.broken);
      return joined;
    }
    ring.seats.set(node.id, seat);
    this.seats.set(node, [...this.seatsOf(node), seat]);
    ring.successors.set(node.id, successor);
    if (ring.seats.size === ring.size)
      for (const each of ring.seats.values())
        this.cluster.world.after(this.cluster.latency(), () => each.node.post(() => each.formed()));
    return joined;
  }

  /** Whether a ring reads or writes this place of a member's sum. */
  uses(node: WorkerNode, sum: SumArray, index: number): boolean {
    return this.seatsOf(node).some((seat) => seat.uses(sum, index));
  }

  /** All seats that the member has or had. */
  seatsOf(node: WorkerNode): readonly Seat[] {
    return this.seats.get(node) ?? [];
  }

  given({ node, ring }: Seat, round: number, buffer: SumArray): void {
    if (ring.stalled !== null || ring.broken !== null) return;
    const other = [...ring.given.values()][0];
    if (other !== undefined && (ring.round !== round || other.length !== buffer.length))
      this.cluster.violation(
        `${node.id} gives the ring ${buffer.length} numbers in round ${round}, while others wait with ${other.length} in round ${ring.round}`,
      );
    ring.round = round;
    ring.given.set(node.id, buffer);
    if (ring.given.size < ring.size) return;
    const total = [...buffer].map((_, index) =>
      [...ring.given.values()].reduce((sum, each) => (sum + (each[index] ?? 0)) | 0, 0),
    );
    ring.given.clear();
    ring.finished.clear();
    const { world } = this.cluster;
    for (const seat of ring.seats.values()) {
      world.after(world.random.between(1, RELEASE_MS), () => {
        // A link that is half-open by then lets nothing through.
        if (ring.stalled !== null) return;
        // Its last segment may or may not have been on the wire when a peer was lost.
        if (ring.broken !== null && world.random.chance(0.5)) return;
        ring.finished.add(seat.node.id);
        seat.node.post(() => seat.deliver(total));
      });
    }
  }

  /** The link between a member of the newest ring and the next one goes dead without a word. */
  stall(node: WorkerNode): void {
    for (const ring of this.rings.values()) {
      const next = ring.successors.get(node.id);
      const successor = next === undefined ? undefined : ring.seats.get(next)?.node;
      if (ring.broken !== null || ring.seats.get(node.id)?.node !== node || successor === undefined) continue;
      if (successor === node) continue;
      ring.stalled = [node, successor];
      this.cluster.world.say(node.id, `its ring link to ${successor.id} is half-open`);
      this.cluster.world.after(HEARTBEAT_TIMEOUT_MS * 1.1, () => {
        if (ring.broken !== null) return;
        ring.broken = successor.id;
        for (const seat of ring.seats.values()) this.fail(seat, seat.node === successor ? node.id : successor.id);
      });
    }
  }

  /** The member left, or its process ended. */
  leave({ ring, node }: Seat): void {
    ring.given.delete(node.id);
    if (ring.broken !== null) return;
    ring.broken = node.id;
    for (const seat of ring.seats.values()) if (seat.node !== node) this.fail(seat, node.id);
  }

  private ringOf(generation: number, size: number): Ring {
    const known = this.rings.get(generation);
    // A coordinator whose last write was lost gives a number out again, for another ring.
    if (known !== undefined && known.seats.size < known.size) return known;
    const ring: Ring = {
      ...{ generation, size, successors: new Map(), seats: new Map(), given: new Map(), finished: new Set() },
      ...{ round: -1, broken: null, stalled: null },
    };
    this.rings.set(generation, ring);
    return ring;
  }

  private fail(seat: Seat, peer: string): void {
    this.cluster.world.after(this.cluster.latency() + RELEASE_MS, () => seat.node.post(() => seat.fail(peer)));
  }
}
