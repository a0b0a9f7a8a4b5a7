/**
 * What a coordinator costs with many workers: the production core, fed with the messages of N simulated workers, a step after
 * another. CPU time of a step: deciding alone, and with reading and writing the messages (msgpackr, zod) as the edge does.
 */
import {
  packMessage,
  parseWorkerMessage,
  unpackMessage,
  type CoordinatorMessage,
  type Work,
  type WorkerMessage,
} from '@lockstep/comm';
import {
  TIERS_FROM,
  decideAsCoordinator,
  initialCoordinatorState,
  monotonicMs,
  type CoordinatorHappening,
  type CoordinatorState,
  type Settings,
} from '@lockstep/coordinator';
import { summary, type Figures } from '../result/summary.js';

const STEPS = 12;
const WARM_UP = 2;
/** The network has so many parameter tensors; each has an exponent in every message about gradients. */
export const TENSORS = 120;
/** Of steps and of checkpoints: there is no end. */
const ENDLESS = 1e6;
const digestOf = (step: number): string => step.toString(16).padStart(64, '0');
const exponents = Array.from({ length: TENSORS }, (_, tensor) => -(tensor % 20));
const durable = { digestOf };

/** What a worker says once it is known. */
type Said = Exclude<WorkerMessage, { type: 'hello' }>;

const settingsOf = (workers: number): Settings => ({
  run: 'scale',
  runSettings: {
    task: { module: 'diffusion', code: { version: '1' } },
    data: 'mnist',
    seed: 0,
    recipe: {},
    wire: 'int32',
    arithmetic: 2,
    engine: 'tensorflow',
    checkpointEvery: ENDLESS,
    dataDigest: digestOf(0),
  },
  steps: ENDLESS,
  microbatches: workers,
  checkpointEvery: ENDLESS,
  minWorkers: workers,
  heartbeatTimeoutMs: 5000,
  auditRate: 0,
  numerics: 'strict',
  nonFinite: 'stop',
  figures: [],
  tiersFrom: TIERS_FROM,
});

/** Milliseconds of the coordinator's work, and what it sent. */
interface Spent {
  decide: number;
  read: number;
  write: number;
  bytes: number;
}
const nothing = (): Spent => ({ decide: 0, read: 0, write: 0, bytes: 0 });

/** A coordinator whose workers are always quick. */
class SimulatedRun {
  state: CoordinatorState;
  spent = nothing();
  largestMessageBytes = 0;
  private now = 0;
  private inbox: CoordinatorHappening[] = [];
  private readonly settings: Settings;

  constructor(workers: number) {
    this.settings = settingsOf(workers);
    const recovered = { committed: 0, generation: 0, checkpoint: null, numerics: null, reproducible: true };
    this.state = initialCoordinatorState(recovered, durable, monotonicMs(this.now));
    for (let index = 0; index < workers; index++) this.join(`worker-${String(index).padStart(4, '0')}`);
    this.feed({ type: 'tick' });
  }

  private join(worker: string): void {
    const instance = digestOf(0).slice(32);
    this.feed({ type: 'hello', worker, instance, host: '10.0.0.1', port: 29500, local: null, run: null });
    const have = { step: 0, digest: digestOf(0) };
    const ready: Said = { type: 'ready', have, record: null, generation: 0, probe: digestOf(1), engine: {} };
    this.feed({ type: 'message', worker, message: ready });
  }

  /** Lets all happen that is to happen now. */
  turn(): void {
    const events = this.inbox;
    this.inbox = [];
    this.now += 1;
    if (events.length === 0) throw new Error(`nothing happens at step ${this.state.step}`);
    // A worker's own messages keep their order; those of others come in between.
    for (const event of events) this.feed(event);
  }

  private feed(event: CoordinatorHappening): void {
    const started = performance.now();
    const turn = decideAsCoordinator(this.state, { ...event, now: monotonicMs(this.now) }, this.settings, durable);
    this.spent.decide += performance.now() - started;
    this.state = turn.state;
    for (const effect of turn.effects) {
      if (effect.type === 'appendLedger') this.inbox.push({ type: 'ledgerWritten', step: effect.record.step });
      if (effect.type !== 'send') continue;
      const before = performance.now();
      const bytes = packMessage(effect.message).length;
      this.spent.write += performance.now() - before;
      this.spent.bytes += bytes;
      this.largestMessageBytes = Math.max(this.largestMessageBytes, bytes);
      this.answer(effect.worker, effect.message);
    }
  }

  /** What a worker says to a message. */
  private answer(worker: string, message: CoordinatorMessage): void {
    if (message.type === 'plan') this.compute(worker, message.generation, message.step, message.work);
    if (message.type !== 'reduce') return;
    const { generation, step, next } = message;
    const digest = digestOf(step + 1);
    this.say(worker, { type: 'applied', generation, step, digest, record: null, ringMilliseconds: 1, ringBytes: 1 });
    if (next !== null) this.compute(worker, generation, step + 1, next);
  }

  private compute(worker: string, generation: number, step: number, work: Work): void {
    for (const microbatch of work.microbatches)
      this.say(worker, {
        ...{ type: 'gradient', generation, step, microbatch, loss: 1, exponents },
        ...{ samples: '0'.repeat(16), digest: null, milliseconds: 100, cpuMilliseconds: 100 },
      });
  }

  private say(worker: string, said: Said): void {
    const packed = packMessage(said);
    const started = performance.now();
    const message = parseWorkerMessage(unpackMessage(packed));
    this.spent.read += performance.now() - started;
    if (message.type !== 'hello') this.inbox.push({ type: 'message', worker, message });
  }
}

/** Of one step. */
export interface CoordinatorCost {
  readonly workers: number;
  readonly totalMs: Figures;
  readonly decideMs: Figures;
  readonly readMs: Figures;
  readonly writeMs: Figures;
  readonly sentBytes: Figures;
  readonly largestMessageBytes: number;
}

/** What a coordinator spends on a step of so many workers. */
export function coordinatorCost(workers: number): CoordinatorCost {
  const run = new SimulatedRun(workers);
  const samples: Spent[] = [];
  let last = run.state.step;
  run.spent = nothing();
  run.largestMessageBytes = 0;
  while (run.state.step < STEPS) {
    run.turn();
    const { step } = run.state;
    if (step === last) continue;
    const { decide, read, write, bytes } = run.spent;
    const steps = step - last;
    if (step > WARM_UP)
      samples.push({ decide: decide / steps, read: read / steps, write: write / steps, bytes: bytes / steps });
    last = step;
    run.spent = nothing();
  }
  return {
    workers,
    totalMs: summary(samples.map(({ decide, read, write }) => decide + read + write)),
    decideMs: summary(samples.map(({ decide }) => decide)),
    readMs: summary(samples.map(({ read }) => read)),
    writeMs: summary(samples.map(({ write }) => write)),
    sentBytes: summary(samples.map(({ bytes }) => bytes)),
    largestMessageBytes: run.largestMessageBytes,
  };
}
