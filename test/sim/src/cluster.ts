/**
 * A cluster in one thread: the production cores of coordinator and workers, under a network, disks and an engine that the
 * world controls. The edges (server.ts, worker.ts) are played here; the decisions are the real ones.
 */
import type { CommitRecord, CoordinatorMessage, EngineDescription, WorkerMessage } from '@lockstep/comm';
import type { CoordinatorNode } from './coordinator-node.js';
import { RingHub } from './ring-hub.js';
import type { WorkerNode } from './worker-node.js';
import type { World } from './world.js';

export const STEPS = 12;
export const MICROBATCHES = 6;
export const CHECKPOINT_EVERY = 4;
export const HEARTBEAT_TIMEOUT_MS = 1_000;

/** What the run is told by config. */
export interface Options {
  readonly minWorkers: number;
  readonly auditRate: number;
  readonly nonFinite: 'stop' | 'skip';
  readonly tiersFrom: number;
}

export interface Entry {
  readonly record: CommitRecord;
  readonly digest: string;
}

/** What survives a crash of the coordinator: what was written, not what was on its way. */
export interface Disk {
  readonly entries: Entry[];
  generation: number;
  numerics: { readonly probe: string; readonly engine: EngineDescription } | null;
  readonly checkpoints: { readonly step: number; readonly digest: string }[];
  /** Undoes the newest write, as a disk does that lied about having it. */
  undo: (() => void) | null;
}

/** One control connection; messages keep their order in each direction. */
export class Connection {
  open = true;
  /** Directions in which nothing arrives any more, though neither end is told. */
  readonly cut = { up: false, down: false };
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
    const { world } = this.cluster;
    if (!this.cut.up)
      world.after(this.cluster.latency(), () => this.coordinator.post(() => this.coordinator.disconnected(this)));
    if (!this.cut.down)
      world.after(this.cluster.latency(), () => this.worker.post(() => this.worker.disconnected(this)));
  }

  /** Closed after what was sent down, as by a close frame. */
  closeAfterSent(): void {
    const { world } = this.cluster;
    world.after(Math.max(0, this.lastArrival.down - world.now), () => this.close());
  }

  private deliver(direction: 'up' | 'down', arrive: () => void): void {
    const { world } = this.cluster;
    const at = Math.max(this.lastArrival[direction], world.now + this.cluster.latency());
    this.lastArrival[direction] = at;
    world.after(at - world.now, () => {
      if (this.open && !this.cut[direction]) arrive();
    });
  }
}

export class Cluster {
  readonly disk: Disk = { entries: [], generation: 0, numerics: null, checkpoints: [], undo: null };
  readonly ring: RingHub;
  readonly workers = new Set<WorkerNode>();
  coordinator: CoordinatorNode | null = null;
  /** Upper end of the one-way delay, ms. */
  slowness = 10;
  outcome: string | null = null;
  /** How often the coordinator said what: tells whether the schedules reach what they are meant for. */
  readonly notes = new Map<string, number>();
  readonly violations: string[] = [];

  constructor(
    readonly world: World,
    readonly truth: readonly string[],
    readonly options: Options,
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
