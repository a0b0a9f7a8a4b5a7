/**
 * A cluster in one thread: coordinator and workers as production runs them, decisions and edges, on a network, disks, engines and
 * clocks that the world controls.
 */
import type { TrainingState, WantedState } from '@lockstep/run';
import type { CoordinatorNode } from './coordinator-node.js';
import { SEED_DIGEST } from './numerics.js';
import type { SimulatedProcess } from './process.js';
import { RingHub } from './ring-hub.js';
import type { Disk } from './virtual-disk.js';
import { digestOf, stateOf } from './virtual-engine.js';
import type { WorkerNode } from './worker-node.js';
import type { World } from './world.js';

export const STEPS = 12;
export const MICROBATCHES = 6;
export const CHECKPOINT_EVERY = 4;
export const HEARTBEAT_TIMEOUT_MS = 1_000;
/** A URL leaves out port 80, so that a worker there would not be found. */
const FIRST_PORT = 1_024;

/** Where the coordinator is dialled, whichever process is it. */
export const COORDINATOR = 'coordinator';
/** Where workers are. */
export const HOST = 'sim';

/** What the run is told by config. */
export interface Options {
  readonly minWorkers: number;
  readonly auditRate: number;
  readonly nonFinite: 'stop' | 'skip';
  readonly tiersFrom: number;
  /** Its gradients have no early bucket. */
  readonly inOnePiece: boolean;
}

export class Cluster {
  /** Survives a crash of the coordinator: what was written, not what was on its way. */
  readonly disk: Disk = { entries: [], generation: 0, numerics: null, checkpoints: [], undo: null };
  readonly ring: RingHub;
  readonly workers = new Set<WorkerNode>();
  coordinator: CoordinatorNode | null = null;
  /** Upper end of the one-way delay, ms. */
  slowness = 10;
  outcome: string | null = null;
  private ports = FIRST_PORT;
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

  /** HTTP: a state, as whoever has it gives it out. */
  async fetchState(by: SimulatedProcess, url: string, { step, digest }: WantedState): Promise<TrainingState> {
    await by.wait(5, 150);
    const { host, hostname, port } = new URL(url);
    const coordinator = this.coordinator?.alive === true && host === COORDINATOR;
    const worker = [...this.workers].find((node) => hostname === HOST && node.port === Number(port));
    const state = coordinator ? this.checkpointOf(step) : (worker?.served(step) ?? null);
    if (state === null) throw new Error(`${url} does not have it`);
    // What has another digest is not taken, and the next source is asked.
    if (digestOf(state) !== digest) throw new Error(`${url} has another state`);
    return state;
  }

  /** The next worker process listens here. */
  freshPort(): number {
    return this.ports++;
  }

  note(what: string): void {
    this.notes.set(what, (this.notes.get(what) ?? 0) + 1);
  }

  violation(text: string): void {
    this.world.say('VIOLATION', text);
    this.violations.push(text);
    this.world.end();
  }

  private checkpointOf(step: number): TrainingState | null {
    const digest = this.disk.checkpoints.find((each) => each.step === step)?.digest;
    if (digest !== undefined) return stateOf(step, digest);
    return step === 0 ? stateOf(0, SEED_DIGEST) : null;
  }
}
