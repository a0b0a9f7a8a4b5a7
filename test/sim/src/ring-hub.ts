/**
 * The rings of all generations. Keeps what matters of a real one: it joins only when every member came, a member gets the
 * sum only if all gave theirs, and when one is lost in the middle some of the others may still have finished.
 */
import type { Place } from '@lockstep/comm';
import { HEARTBEAT_TIMEOUT_MS, type Cluster } from './cluster.js';
import type { WorkerSumName } from '@lockstep/worker';
import type { Bucket } from './numerics.js';
import type { WorkerNode } from './worker-node.js';

/** What a member gives to an all-reduce, and what it gets: a number for each bucket that is summed. */
export type Sums = ReadonlyMap<Bucket, number>;

interface Ring {
  readonly size: number;
  /** By member: who comes after it. */
  readonly successors: Map<string, string>;
  readonly members: Map<string, WorkerNode>;
  readonly sums: Map<string, Sums>;
  /** The all-reduce that members wait in. */
  round: string;
  readonly finished: Set<string>;
  broken: string | null;
  started: boolean;
  /** A link of it swallows everything: no sum arrives, and after a while both of its ends say so. */
  stalled: readonly [WorkerNode, WorkerNode] | null;
}

export class RingHub {
  private readonly rings = new Map<number, Ring>();

  constructor(private readonly cluster: Cluster) {}

  /** With two tiers the rings of a generation are one here: what one of them loses, all lose. */
  join(generation: number, place: Place, node: WorkerNode): void {
    const { total: size, leaders } = place;
    // A leader without a group has links to other leaders only.
    const { successor } = place.size === 1 && leaders !== null ? leaders : place;
    let ring = this.rings.get(generation);
    if (ring === undefined) {
      ring = {
        size,
        successors: new Map(),
        members: new Map(),
        sums: new Map(),
        round: '',
        finished: new Set(),
        broken: null,
        started: false,
        stalled: null,
      };
      this.rings.set(generation, ring);
    }
    if (ring.broken !== null) {
      this.fail(node, generation, ring.broken);
      return;
    }
    ring.members.set(node.id, node);
    ring.successors.set(node.id, successor);
    if (ring.members.size < size) return;
    for (const member of ring.members.values()) {
      this.cluster.world.after(this.cluster.latency(), () => member.post(() => member.ringJoined(generation)));
    }
  }

  allReduce(name: WorkerSumName, node: WorkerNode, sums: Sums): void {
    const { generation, step, part } = name;
    const ring = this.rings.get(generation);
    if (ring === undefined || ring.broken !== null) {
      this.fail(node, generation, ring?.broken ?? node.id);
      return;
    }
    if (ring.stalled !== null) return;
    const round = `${part} of step ${step}`;
    if (ring.sums.size > 0 && ring.round !== round)
      this.cluster.violation(`${node.id} gives the ring its ${round}, while others wait for their ${ring.round}`);
    ring.round = round;
    ring.sums.set(node.id, sums);
    if (ring.sums.size < ring.size) return;
    const total = new Map<Bucket, number>();
    for (const given of ring.sums.values())
      for (const [bucket, sum] of given) total.set(bucket, ((total.get(bucket) ?? 0) + sum) | 0);
    ring.sums.clear();
    ring.finished.clear();
    ring.started = true;
    for (const member of ring.members.values()) {
      this.cluster.world.after(this.cluster.world.random.between(1, 60), () => {
        // A link that is half-open by then lets nothing through.
        if (ring.stalled !== null) return;
        // Its last segment may or may not have been on the wire when a peer was lost.
        if (ring.broken !== null && this.cluster.world.random.chance(0.5)) return;
        ring.finished.add(member.id);
        if (ring.finished.size === ring.size) ring.started = false;
        member.post(() => member.summed(name, total));
      });
    }
  }

  /** The link between a member of the newest ring and the next one goes dead without a word. */
  stall(node: WorkerNode): void {
    for (const [generation, ring] of this.rings) {
      const next = ring.successors.get(node.id);
      const successor = next === undefined ? undefined : ring.members.get(next);
      if (ring.broken !== null || ring.members.get(node.id) !== node || successor === undefined || successor === node)
        continue;
      ring.stalled = [node, successor];
      this.cluster.world.say(node.id, `its ring link to ${successor.id} is half-open`);
      this.cluster.world.after(HEARTBEAT_TIMEOUT_MS * 1.1, () => {
        if (ring.broken !== null) return;
        ring.broken = successor.id;
        for (const member of ring.members.values())
          this.fail(member, generation, member === successor ? node.id : successor.id);
      });
    }
  }

  /** The member's process ended, or it left this generation. */
  leave(node: WorkerNode): void {
    for (const [generation, ring] of this.rings) {
      if (ring.members.get(node.id) !== node || ring.broken !== null) continue;
      ring.broken = node.id;
      for (const member of ring.members.values()) {
        if (member !== node) this.fail(member, generation, node.id);
      }
    }
  }

  private fail(node: WorkerNode, generation: number, peer: string): void {
    this.cluster.world.after(this.cluster.latency() + 60, () => node.post(() => node.ringFailed(generation, peer)));
  }
}
