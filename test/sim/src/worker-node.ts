/** A worker process of the simulation: the real core, a pretended engine, and the edge's rules about connections. */
import { HEARTBEATS_PER_TIMEOUT, SilenceClock, heartbeatInterval, type CoordinatorMessage } from '@lockstep/comm';
import {
  initialWorkerState,
  workerStep,
  type WorkerEffect,
  type WorkerEvent,
  type WorkerState,
  type WorkerSumName,
  type WorkerTask,
} from '@lockstep/worker';
import { Connection, HEARTBEAT_TIMEOUT_MS, type Cluster } from './cluster.js';
import {
  BAD_MICROBATCH,
  BAD_STEP,
  BUCKETS,
  SEED_DIGEST,
  exponentsIn,
  exponentsOf,
  foldOf,
  gradientOf,
  hashOf,
  lossOf,
  nextDigest,
  samplesOf,
  type Bucket,
} from './numerics.js';
import { SimulatedProcess } from './process.js';
import type { Sums } from './ring-hub.js';

/** What may send a worker back to an older state. */
const BACKWARDS = ['rolled-back', 'contested', 'write-lost'];

/** A worker that heard nothing at so many of its own heartbeats in a row, two timeouts, has not noticed. */
const MOST_BEATS_UNHEARD = 2 * HEARTBEATS_PER_TIMEOUT;

/** A thread's reply is read so much later at most; a gradient takes longer, so replies keep their order. */
const REPLY_MS = 2;

let ports = 1;

function bucketsOf(part: WorkerSumName['part']): readonly Bucket[] {
  return part === 'whole' ? BUCKETS : [part];
}

/** What is wrong with a worker's memory or processor. */
export type Defect =
  /** So many gradients to come have a flipped bit. */
  | { readonly kind: 'gradient'; left: number }
  /** The next state that it comes to has a flipped bit before it is hashed. */
  | { readonly kind: 'apply'; left: number };

export class WorkerNode extends SimulatedProcess {
  readonly port = ports++;
  defect: Defect | null = null;
  /** Factor on the time of a gradient. */
  slowness = 1;
  private state: WorkerState;
  private connection: Connection | null = null;
  private messagesReceived = 0;
  private silence = this.watch();
  private beatsUnheard = 0;
  private digest = SEED_DIGEST;
  /** What the weights at rest should be; the reducer's checksum. */
  private checksum = SEED_DIGEST;
  private retained: { readonly step: number; readonly digest: string } | null = null;
  /** By microbatch: the buckets that are there. */
  private readonly gradients = new Map<number, Map<Bucket, number>>();
  private gradientsOf = 0;
  /** Microbatch of which only the early bucket is there. */
  private begun: number | null = null;
  private readonly sums: Record<Bucket, number> = { late: 0, early: 0 };
  private job = 0;
  private halted = 0;
  /** The all-reduce that reads and writes its part of the sum; null if none does. */
  private ringHas: WorkerSumName | null = null;

  constructor(id: string, cluster: Cluster) {
    super(id, cluster);
    // Ports are drawn once a process here, so they tell processes apart as well as random bits.
    const instance = this.port.toString(16).padStart(32, '0');
    this.state = initialWorkerState({ id, instance, host: 'sim', port: this.port, local: null });
    cluster.workers.add(this);
    this.connect();
    this.beat();
  }

  crash(): void {
    if (!this.alive) return;
    this.alive = false;
    this.say('killed');
    this.cluster.workers.delete(this);
    this.connection?.close();
    this.cluster.ring.leave(this);
  }

  /** It gets SIGTERM. */
  leave(): void {
    this.post(() => {
      this.say('leaves');
      this.dispatch({ type: 'leave', reason: 'SIGTERM', atOnce: false });
    });
  }

  /** Nothing arrives any more, in one direction or both. */
  cut(up: boolean, down: boolean): void {
    if (this.connection !== null) {
      // What was lost never comes: a connection that was cut is not whole again.
      this.connection.cut.up ||= up;
      this.connection.cut.down ||= down;
    }
    this.say(`its connection lets nothing through (up ${up}, down ${down})`);
  }

  /** Opens another connection while the first is still there. */
  connectTwice(): void {
    if (this.connection === null) return;
    this.say('connects twice');
    this.connection = null;
    this.dispatch({ type: 'disconnected' });
    this.connect();
  }

  /** One bit of the weights flips while nobody works on them. */
  flipWeights(): void {
    if (this.state.have === null || this.state.busy?.kind === 'apply' || this.state.busy?.kind === 'load') return;
    this.say('a bit of its weights flips');
    this.digest = hashOf('flipped', this.digest);
  }

  /** The state's digest, if this process could serve it now. */
  serves(step: number): string | null {
    if (!this.alive) return null;
    if (this.retained?.step === step) return this.retained.digest;
    const { have, busy } = this.state;
    return have?.step === step && busy?.kind !== 'apply' && busy?.kind !== 'load' ? this.digest : null;
  }

  received(connection: Connection, message: CoordinatorMessage): void {
    if (connection !== this.connection) return;
    this.messagesReceived += 1;
    this.beatsUnheard = 0;
    this.dispatch({ type: 'message', message, now: this.cluster.world.now });
  }

  disconnected(connection: Connection): void {
    if (connection !== this.connection) return;
    this.connection = null;
    this.dispatch({ type: 'disconnected' });
    this.retry();
  }

  ringJoined(generation: number): void {
    this.dispatch({ type: 'ringJoined', generation });
  }

  summed(name: WorkerSumName, total: Sums): void {
    // The real ring writes into the shared buffer, and only while its generation lasts.
    const sum = name.part === 'early' ? this.state.early : this.state.reduction;
    if (sum?.message.generation === name.generation && sum.stage === 'ringing')
      for (const [bucket, value] of total) this.sums[bucket] = value;
    this.dispatch({ type: 'summed', ...name, milliseconds: 1, bytes: 4 });
    this.released(name.generation);
  }

  ringFailed(generation: number, peer: string): void {
    this.dispatch({ type: 'ringFailed', generation, peer, code: 'E_RING_PEER_LOST', message: `lost ${peer}` });
    this.released(generation);
  }

  /** The all-reduce of this generation has let go of the sum. */
  private released(generation: number): void {
    if (this.ringHas?.generation !== generation) return;
    this.ringHas = null;
    this.dispatch({ type: 'ringReleased' });
  }

  private dispatch(event: WorkerEvent): void {
    if (!this.alive) return;
    const { state, effects } = workerStep(this.state, event);
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: WorkerEffect): void {
    const { world, ring } = this.cluster;
    const later = (low: number, high: number, action: () => void): void =>
      world.after(world.random.between(low, high), () => this.post(action));
    switch (effect.type) {
      case 'send':
        this.connection?.up(effect.message);
        break;
      case 'initialise':
        later(10, 200, () =>
          this.dispatch({
            type: 'initialised',
            have: { step: 0, digest: SEED_DIGEST },
            probe: hashOf('probe'),
            engine: { sim: '1' },
          }),
        );
        break;
      case 'compute': {
        this.work(effect.step, effect.tasks, ++this.job);
        break;
      }
      case 'halt':
        this.halted = this.job;
        break;
      case 'prepare':
        // Only makes the next gradients quicker.
        break;
      case 'fold': {
        if (this.state.busy?.kind === 'apply' || this.state.busy?.kind === 'load')
          this.cluster.violation(`${this.id} sums while its state changes`);
        const { generation, step, part, contribute, exponents } = effect;
        const sums = bucketsOf(part).map((bucket) => {
          if (this.ringHas !== null && bucketsOf(this.ringHas.part).includes(bucket))
            this.cluster.violation(`${this.id} writes into a sum that the ring still reads`);
          const held = contribute.map((microbatch) => this.gradients.get(microbatch)?.get(bucket));
          if (held.includes(undefined)) this.cluster.violation(`${this.id} must fold a gradient that it does not hold`);
          const agreed = part === 'early' ? exponents : exponentsIn(bucket, exponents);
          return [
            bucket,
            foldOf(
              held.filter((gradient) => gradient !== undefined),
              agreed,
            ),
          ] as const;
        });
        later(1, 5, () => {
          if (this.digest !== this.checksum) return this.dispatch({ type: 'corrupt', what: 'the weights changed' });
          for (const [bucket, sum] of sums) this.sums[bucket] = sum;
          this.dispatch({ type: 'folded', generation, step, part });
        });
        break;
      }
      case 'check':
        later(1, 5, () =>
          this.dispatch(
            this.digest === this.checksum ? { type: 'checked' } : { type: 'corrupt', what: 'the weights changed' },
          ),
        );
        break;
      case 'joinRing':
        later(0, 5, () => {
          if (this.state.generation === effect.generation) ring.join(effect.generation, effect.place, this);
        });
        break;
      case 'leaveRing':
        ring.leave(this);
        if (this.ringHas !== null) {
          const { generation } = this.ringHas;
          later(0, 60, () => this.released(generation));
        }
        break;
      case 'allReduce': {
        const { generation, step, part } = effect;
        this.ringHas = { generation, step, part };
        ring.allReduce(this.ringHas, this, new Map(bucketsOf(part).map((bucket) => [bucket, this.sums[bucket]])));
        break;
      }
      case 'apply': {
        if (this.digest !== this.checksum) {
          later(1, 3, () => this.dispatch({ type: 'corrupt', what: 'the state changed' }));
          break;
        }
        this.job += 1;
        const { job } = this;
        later(1, 10, () => {
          if (!effect.skip) this.digest = nextDigest(this.digest, effect.step, this.sums);
          if (this.isStruck('apply')) this.digest = hashOf('bad', this.digest);
          this.checksum = this.digest;
          this.gradients.clear();
          // Every state is kept a while, as the real worker keeps those of checkpoints.
          this.retained = { step: effect.step + 1, digest: this.digest };
          const goesOn = effect.then.length > 0 && this.halted < job;
          const { digest } = this;
          later(0, REPLY_MS, () => this.dispatch({ type: 'applied', step: effect.step, digest, goesOn }));
          if (goesOn) this.work(effect.step + 1, effect.then, job);
        });
        break;
      }
      case 'load':
        if ((this.state.have?.step ?? 0) > effect.step && !BACKWARDS.some((note) => this.cluster.notes.has(note)))
          this.cluster.violation(`${this.id} goes back to state ${effect.step}`);
        later(5, 150, () => {
          const digest = this.find(effect.step, effect.sources);
          if (digest === effect.digest) {
            this.digest = digest;
            this.checksum = digest;
            this.dispatch({ type: 'loaded', step: effect.step, digest, source: 'sim', bytes: 1, milliseconds: 1 });
          } else {
            this.dispatch({
              type: 'loadFailed',
              generation: effect.generation,
              code: 'E_STATE_UNAVAILABLE',
              message: 'no source',
            });
          }
        });
        break;
      case 'log':
        break;
      case 'exit':
        this.say(`exits: ${effect.code}: ${effect.reason}`);
        this.crash();
        break;
      default:
        effect satisfies never;
    }
  }

  /** The compute thread: one task after another, until it is halted. */
  private work(step: number, [task, ...then]: readonly WorkerTask[], job: number): void {
    if (task === undefined) throw new Error('asked to compute nothing');
    const { world } = this.cluster;
    const milliseconds = world.random.between(10, 100) * this.slowness;
    const started = this.clocks.monotonicNow();
    if (then.length === 0)
      world.after(milliseconds * world.random.unit(), () => this.post(() => this.earlyDone(step, task.microbatch)));
    world.after(milliseconds, () =>
      this.post(() => {
        const goesOn = then.length > 0 && this.halted < job;
        this.computed(step, task, this.clocks.monotonicNow() - started, goesOn);
        if (!goesOn) return;
        const { plan } = this.state;
        const [next] = then;
        if (next !== undefined && plan?.step === step && !plan.work.microbatches.includes(next.microbatch))
          this.cluster.violation(`${this.id} goes on with microbatch ${next.microbatch}, which it is not to compute`);
        this.work(step, then, job);
      }),
    );
  }

  private computed(
    step: number,
    { microbatch, digest: hashed }: WorkerTask,
    milliseconds: number,
    goesOn: boolean,
  ): void {
    if (this.begun !== microbatch) this.begin(step, microbatch);
    this.begun = null;
    const gradient = this.made(step, microbatch, 'late');
    const bad = this.cluster.options.nonFinite === 'skip' && step === BAD_STEP && microbatch === BAD_MICROBATCH;
    const computed: WorkerEvent = {
      type: 'computed',
      step,
      microbatch,
      gradient: {
        loss: bad ? null : lossOf(this.digest, step, microbatch),
        exponents: exponentsOf(this.digest, step, microbatch),
        samples: samplesOf(step, microbatch),
        digest: hashed ? hashOf('bits', ...gradient.values()) : null,
        milliseconds,
        cpuMilliseconds: milliseconds,
      },
      goesOn,
    };
    const { world } = this.cluster;
    world.after(world.random.between(0, REPLY_MS), () => this.post(() => this.dispatch(computed)));
  }

  /** The early bucket of the last task is there. */
  private earlyDone(step: number, microbatch: number): void {
    this.begin(step, microbatch);
    const exponents = exponentsIn('early', exponentsOf(this.digest, step, microbatch));
    const { world } = this.cluster;
    world.after(world.random.between(0, REPLY_MS), () =>
      this.post(() => this.dispatch({ type: 'early', step, microbatch, exponents })),
    );
  }

  /** A gradient is computed, for the first time or anew: its early bucket. */
  private begin(step: number, microbatch: number): void {
    // Those of another step are forgotten.
    if (this.gradientsOf !== step) this.gradients.clear();
    this.gradientsOf = step;
    this.gradients.set(microbatch, new Map());
    this.begun = microbatch;
    this.made(step, microbatch, 'early');
  }

  private made(step: number, microbatch: number, bucket: Bucket): ReadonlyMap<Bucket, number> {
    const gradient = this.gradients.get(microbatch) ?? new Map<Bucket, number>();
    const bit = this.isStruck('gradient') ? 1 + Math.floor(this.cluster.world.random.unit() * 1_000) : 0;
    return gradient.set(bucket, gradientOf(this.digest, step, microbatch, bucket) ^ bit);
  }

  /** Whether the defect of this kind shows now; each showing uses up one. */
  private isStruck(kind: Defect['kind']): boolean {
    const { defect } = this;
    if (defect === null || defect.kind !== kind || defect.left === 0) return false;
    defect.left -= 1;
    this.say(`a bit flips: ${kind}`);
    return true;
  }

  private find(step: number, sources: readonly string[]): string | null {
    for (const source of sources) {
      if (source.startsWith('/')) {
        const checkpoint = this.cluster.disk.checkpoints.find((each) => each.step === step);
        if (this.cluster.coordinator?.alive !== true) continue;
        if (checkpoint !== undefined) return checkpoint.digest;
        if (step === 0) return SEED_DIGEST;
        continue;
      }
      for (const node of this.cluster.workers) {
        const digest = source === `http://sim:${node.port}/state/${step}` ? node.serves(step) : null;
        if (digest !== null) return digest;
      }
    }
    return null;
  }

  private connect(): void {
    const { coordinator, world } = this.cluster;
    if (coordinator === null || !coordinator.alive) return this.retry();
    const connection = new Connection(this.cluster, this, coordinator);
    world.after(this.cluster.latency(), () =>
      this.post(() => {
        if (!coordinator.alive) return this.retry();
        this.connection = connection;
        this.silence = this.watch();
        this.beatsUnheard = 0;
        this.dispatch({ type: 'connected' });
      }),
    );
  }

  private retry(): void {
    const { world } = this.cluster;
    world.after(world.random.between(50, 300), () => this.post(() => this.connect()));
  }

  private beat(): void {
    this.cluster.world.after(heartbeatInterval(HEARTBEAT_TIMEOUT_MS), () =>
      this.post(() => {
        this.dispatch({ type: 'heartbeatDue' });
        this.look();
        this.beat();
      }),
    );
  }

  /** As the production edge does (control-connection.ts). */
  private look(): void {
    const { connection } = this;
    if (connection === null) return;
    const now = this.clocks.monotonicNow();
    if (this.silence.isSilent({ now, bytesReceived: this.messagesReceived, reading: true })) {
      connection.close();
      this.disconnected(connection);
    } else if (++this.beatsUnheard > MOST_BEATS_UNHEARD) {
      this.cluster.violation(`${this.id} does not notice that its coordinator is silent`);
    }
  }

  private watch(): SilenceClock {
    const tickMs = heartbeatInterval(HEARTBEAT_TIMEOUT_MS);
    const watch = new SilenceClock({ timeoutMs: HEARTBEAT_TIMEOUT_MS, tickMs, now: this.clocks.monotonicNow() });
    this.messagesReceived = 0;
    return watch;
  }
}
