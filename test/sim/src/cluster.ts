/**
 * A cluster in one thread: the production cores of coordinator and workers, under a network, disks and an engine that the
 * world controls. The edges (server.ts, worker.ts) are played here; the decisions are the real ones.
 */
import type { CoordinatorMessage, WorkerMessage } from '@lockstep/comm';
import type { CoordinatorNode } from './coordinator-node.js';
import { RingHub } from './ring-hub.js';
import type { WorkerNode } from './worker-node.js';
import type { World } from './world.js';

export const STEPS = 12;
export const MICROBATCHES = 4;
export const CHECKPOINT_EVERY = 4;
export const HEARTBEAT_TIMEOUT_MS = 1_000;

/** What survives a crash of the coordinator: entries once written, not those on their way. */
export interface Disk {
  readonly entries: {
    readonly step: number;
    readonly digest: string;
    readonly plan: readonly string[];
    readonly losses: readonly number[];
  }[];
  generation: number;
  probe: string | null;
  checkpoint: { readonly step: number; readonly digest: string } | null;
}

/** One control connection; messages keep their order in each direction. */
export class Connection {
  open = true;
  /** A half-open connection: nothing arrives any more, and neither end is told. */
  blackholed = false;
  private readonly lastArrival = { up: 0, down: 0 };

  constructor(
    private readonly cluster: Cluster,
    readonly worker: WorkerNode,
    readonly coordinator: CoordinatorNode,
  ) {}

  up(message: WorkerMessage): void {
    this.deliver('up', () => this.coordinator.post(() => this.coordinator.received(this, message)));
  }

  down(message: CoordinatorMessage): void {
    this.deliver('down', () => this.worker.post(() => this.worker.received(this, message)));
  }

  /** Either end closed it, or its process ended: both are told in time. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    if (this.blackholed) return;
    const { world } = this.cluster;
    world.after(this.cluster.latency(), () => this.coordinator.post(() => this.coordinator.disconnected(this)));
    world.after(this.cluster.latency(), () => this.worker.post(() => this.worker.disconnected(this)));
  }

  private deliver(direction: 'up' | 'down', arrive: () => void): void {
    const { world } = this.cluster;
    const at = Math.max(this.lastArrival[direction], world.now + this.cluster.latency());
    this.lastArrival[direction] = at;
    world.after(at - world.now, () => {
      if (this.open && !this.blackholed) arrive();
    });
  }
}

export class Cluster {
  readonly disk: Disk = { entries: [], generation: 0, probe: null, checkpoint: null };
  readonly ring: RingHub;
  readonly workers = new Set<WorkerNode>();
  coordinator: CoordinatorNode | null = null;
  /** Upper end of the one-way delay, ms. */
  slowness = 10;
  outcome: string | null = null;
  readonly violations: string[] = [];

  constructor(
    readonly world: World,
    readonly truth: readonly string[],
  ) {
    this.ring = new RingHub(this);
  }

  latency(): number {
    return this.world.random.between(0.1, this.slowness);
  }

  violation(text: string): void {
    this.world.say('VIOLATION', text);
    this.violations.push(text);
    this.world.end();
  }
}
