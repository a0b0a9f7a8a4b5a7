/** A worker process of the simulation: the production edge and decisions, on virtual ports; and what must be true of it. */
import { HEARTBEATS_PER_TIMEOUT, heartbeatInterval } from '@lockstep/comm';
import { NO_TRACE, type TrainingState } from '@lockstep/run';
import { TrainingWorker, type Ending } from '@lockstep/worker';
import { COORDINATOR, HEARTBEAT_TIMEOUT_MS, HOST, type Cluster } from './cluster.js';
import { dial, type Connection } from './network.js';
import { SimulatedProcess } from './process.js';
import { VirtualEngine } from './virtual-engine.js';

/** What may send a worker back to an older state. */
const BACKWARDS = ['rolled-back', 'contested', 'write-lost'];
/** A worker that heard nothing at so many of its own heartbeats in a row, two timeouts, has not noticed. */
const MOST_BEATS_UNHEARD = 2 * HEARTBEATS_PER_TIMEOUT;
/** Before it was welcomed it does not know the run's pace, and goes by one ten times as slow. */
const UNTIL_WELCOME_FACTOR = 10;
/** With such a code a worker says that it is broken itself, not the world. */
const BROKEN = ['E_INTERNAL', 'E_COMPUTE_THREAD', 'E_COORDINATOR_UNREACHABLE'];

/** What is wrong with a worker's memory or processor. */
export type Defect =
  /** So many gradients to come have a flipped bit. */
  | { readonly kind: 'gradient'; left: number }
  /** The next state that it comes to has a flipped bit before it is hashed. */
  | { readonly kind: 'apply'; left: number };

export class WorkerNode extends SimulatedProcess {
  readonly port: number;
  /** Ports are drawn once a process here, so they tell processes apart as well as random bits. */
  readonly instance: string;
  defect: Defect | null = null;
  /** Factor on the time of a gradient. */
  slowness = 1;
  private readonly worker: TrainingWorker;
  private readonly engine = new VirtualEngine(this);
  /** Those that are not gone, the newest last. */
  private readonly connections = new Set<Connection>();
  private beatsUnheard = 0;
  private struck = false;

  constructor(id: string, cluster: Cluster) {
    super(id, cluster);
    this.port = cluster.freshPort();
    this.instance = this.port.toString(16).padStart(32, '0');
    const { random } = cluster.world;
    this.worker = new TrainingWorker(
      { id, instance: this.instance, advertiseHost: HOST, coordinator: `ws://${COORDINATOR}` },
      {
        clock: this.clock,
        random: () => random.unit(),
        dial: ({ timeoutMs }, events) => {
          const connection = dial(cluster, this, timeoutMs, {
            ...events,
            onMessage: (message, bytes) => {
              this.beatsUnheard = 0;
              events.onMessage(message, bytes);
            },
            onClose: (reason) => {
              this.connections.delete(connection);
              events.onClose(reason);
            },
          });
          this.connections.add(connection);
          return connection.workerEnd;
        },
        dataPlane: {
          port: this.port,
          local: null,
          joinRing: ({ generation, place, signal }) => cluster.ring.join(this, generation, place, signal),
          close: () => this.wait(0, 1),
        },
        fetchState: (url, wanted) => {
          if ((this.worker.state.have?.step ?? 0) > wanted.step && !BACKWARDS.some((note) => cluster.notes.has(note)))
            cluster.violation(`${id} goes back to state ${wanted.step}`);
          return cluster.fetchState(this, url, wanted);
        },
        openEngine: this.engine.open,
        trace: NO_TRACE,
        log: () => undefined,
      },
    );
    cluster.workers.add(this);
    this.worker.start();
    this.observe();
    void this.worker.finished.then((ending) => this.ended(ending));
  }

  crash(): void {
    if (!this.alive) return;
    this.say('killed');
    this.gone();
  }

  /** It gets SIGTERM. */
  leave(): void {
    this.post(() => {
      this.say('leaves');
      this.worker.leave('SIGTERM');
    });
  }

  /** Nothing arrives any more, in one direction or both. */
  cut(up: boolean, down: boolean): void {
    this.connection?.cut(up, down);
    this.say(`its connection lets nothing through (up ${up}, down ${down})`);
  }

  /** Its connection ends, of which the coordinator is not told; so it opens another one while that has the first. */
  connectTwice(): void {
    const { connection } = this;
    if (connection?.workerEnd.open !== true) return;
    this.say('connects twice');
    connection.cut(true, false);
    connection.workerEnd.lost();
  }

  /** One bit of the weights flips while nobody works on them. */
  flipWeights(): void {
    const { have, busy } = this.worker.state;
    if (have === null || busy?.kind === 'apply' || busy?.kind === 'load') return;
    this.say('a bit of its weights flips');
    this.struck = true;
    this.engine.flip();
  }

  /** The state, if this process could serve it now. */
  served(step: number): TrainingState | null {
    const state = this.alive ? this.worker.served(step) : null;
    return state === null ? null : { step, ...state };
  }

  /** Whether the defect of this kind shows now; each showing uses up one. */
  isStruck(kind: Defect['kind']): boolean {
    const { defect } = this;
    if (defect === null || defect.kind !== kind || defect.left === 0) return false;
    defect.left -= 1;
    this.struck = true;
    this.say(`a bit flips: ${kind}`);
    return true;
  }

  /** The local sum is about to write a place of the sum, or has just been at it. */
  looksAtSum(sum: Int32Array, index: number): void {
    const { busy } = this.worker.state;
    if (busy?.kind === 'apply' || busy?.kind === 'load')
      this.cluster.violation(`${this.id} sums while its state changes`);
    if (this.cluster.ring.uses(this, sum, index))
      this.cluster.violation(`${this.id} writes into a sum that the ring still reads`);
  }

  /** The compute thread begins the next gradient of its queue. */
  goesOnWith(step: number, microbatch: number | undefined): void {
    const { plan } = this.worker.state;
    if (microbatch !== undefined && plan?.step === step && !plan.work.microbatches.includes(microbatch))
      this.cluster.violation(`${this.id} goes on with microbatch ${microbatch}, which it is not to compute`);
  }

  private get connection(): Connection | undefined {
    return [...this.connections].at(-1);
  }

  private gone(): void {
    this.alive = false;
    const { cluster } = this;
    cluster.workers.delete(this);
    for (const { workerEnd } of this.connections) workerEnd.vanish();
    for (const seat of cluster.ring.seatsOf(this)) if (!seat.left) cluster.ring.leave(seat);
  }

  private ended({ code, reason }: Ending): void {
    const { cluster } = this;
    this.say(`exits: ${code}: ${reason}`);
    this.leavesNothing([...this.connections].filter(({ workerEnd }) => workerEnd.open).length);
    if (BROKEN.includes(code) || (code === 'E_STATE_CORRUPT' && !this.struck))
      cluster.violation(`${this.id} ends by ${code}: ${reason}`);
    this.gone();
  }

  /** Whatever the clocks show, it notices soon that its coordinator says nothing. */
  private observe(): void {
    this.cluster.world.after(heartbeatInterval(HEARTBEAT_TIMEOUT_MS), () =>
      this.post(() => {
        const factor = this.worker.state.run === null ? UNTIL_WELCOME_FACTOR : 1;
        const open = this.connection?.workerEnd.open === true;
        this.beatsUnheard = open ? this.beatsUnheard + 1 : 0;
        if (this.beatsUnheard > factor * MOST_BEATS_UNHEARD)
          this.cluster.violation(`${this.id} does not notice that its coordinator is silent`);
        if (this.connections.size > 1) this.cluster.violation(`${this.id} has ${this.connections.size} connections`);
        this.observe();
      }),
    );
  }
}
