/**
 * The rings of all generations. Keeps what matters of a real one: it joins only when every member came, a member gets the
 * sum only if all gave theirs, and when one is lost in the middle some of the others may still have finished.
 */
import type { Cluster } from './cluster.js';
import type { WorkerNode } from './worker-node.js';

interface Ring {
  readonly ids: readonly string[];
  readonly members: Map<string, WorkerNode>;
  readonly sums: Map<string, number>;
  readonly finished: Set<string>;
  broken: string | null;
  started: boolean;
}

export class RingHub {
  private readonly rings = new Map<number, Ring>();

  constructor(private readonly cluster: Cluster) {}

  join(generation: number, ids: readonly string[], node: WorkerNode): void {
    let ring = this.rings.get(generation);
    if (ring === undefined) {
      ring = { ids, members: new Map(), sums: new Map(), finished: new Set(), broken: null, started: false };
      this.rings.set(generation, ring);
    }
    if (ring.broken !== null) {
      this.fail(node, generation, ring.broken);
      return;
    }
    ring.members.set(node.id, node);
    if (ring.members.size < ids.length) return;
    for (const member of ring.members.values()) {
      this.cluster.world.after(this.cluster.latency(), () => member.post(() => member.ringJoined(generation)));
    }
  }

  allReduce(generation: number, node: WorkerNode, sum: number): void {
    const ring = this.rings.get(generation);
    if (ring === undefined || ring.broken !== null) {
      this.fail(node, generation, ring?.broken ?? node.id);
      return;
    }
    ring.sums.set(node.id, sum);
    if (ring.sums.size < ring.ids.length) return;
    const total = [...ring.sums.values()].reduce((a, b) => (a + b) | 0, 0);
    ring.sums.clear();
    ring.finished.clear();
    ring.started = true;
    for (const member of ring.members.values()) {
      this.cluster.world.after(this.cluster.world.random.between(1, 60), () => {
        // Its last segment may or may not have been on the wire when a peer was lost.
        if (ring.broken !== null && this.cluster.world.random.chance(0.5)) return;
        ring.finished.add(member.id);
        if (ring.finished.size === ring.ids.length) ring.started = false;
        member.post(() => member.summed(generation, total));
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
