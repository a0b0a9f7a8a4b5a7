/**
 * The worker's numbers: what the edge asks of the compute thread, the sums and checks that it makes itself, and what it must know
 * of the memory meanwhile. Which of these may run at a time, core.ts decides.
 */
import { failureOf, type Arithmetic, type EffectQueue, type StateArrays } from '@lockstep/base';
import type { RunSettings } from '@lockstep/comm';
import type { SumArray, Wire } from '@lockstep/exact';
import { copyState, snapshotOf } from '../compute/arena.js';
import { bucketsIn, type Bucket, type Part } from '../compute/buckets.js';
import type { ComputeReply } from '../compute/compute.js';
import type { OpenEngine, RunEngine } from '../compute/engine.js';
import { LocalSum, type AtRest, type StoredBucket } from '../compute/local-sum.js';
import { fromWire, onWire, toWire } from '../compute/wire-sum.js';
import type { Effect, SumName } from '../decide/state.js';
import type { Deciding } from './ports.js';

type Of<T extends Effect['type']> = Extract<Effect, { type: T }>;

/** What of a sum is of one bucket. */
interface BucketSum {
  readonly bucket: Bucket;
  readonly gradients: readonly StoredBucket[];
  readonly exponents: readonly number[];
}

/** A run's, from `welcome` on. */
interface Opened extends RunEngine {
  readonly localSum: LocalSum;
  readonly wire: Wire;
  readonly arithmetic: Arithmetic;
  readonly checkpointEvery: number;
}

export class Computation {
  /** Kept until the next one, so that the coordinator can fetch it while training goes on. */
  retained: { readonly step: number; readonly state: StateArrays } | null = null;
  /** Whether it has come so far that this worker could take part in the run. */
  initialised = false;
  private engine: Opened | null = null;
  /** Number of the newest request to the compute thread for gradients, and up to which number they are halted. */
  private job = 0;
  private readonly halted: Int32Array<SharedArrayBuffer> = new Int32Array(
    new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
  );
  /** Of the weights in memory; null while they are being changed, or before a thread has told it. */
  private weights: number | null = null;

  constructor(
    private readonly openEngine: OpenEngine,
    private readonly deciding: Deciding,
    private readonly effects: EffectQueue<Effect>,
  ) {}

  async initialise(settings: RunSettings): Promise<void> {
    const { wire, arithmetic, checkpointEvery } = settings;
    try {
      const engine = await this.openEngine(settings, this.halted, (reply) => this.replied(reply));
      const { arena, passes, pause } = engine;
      const localSum = new LocalSum(arena, passes, pause);
      this.engine = { ...engine, localSum, wire, arithmetic, checkpointEvery };
      // It may have ended while the task was opened.
      if (this.deciding.over) this.release();
    } catch (error) {
      this.deciding.dispatch({ type: 'failed', ...failureOf(error) });
    }
  }

  compute({ step, wanted }: Of<'compute'>): void {
    this.opened.thread.request({ kind: 'compute', step, wanted, job: ++this.job });
  }

  halt(): void {
    Atomics.store(this.halted, 0, this.job);
  }

  prepare({ step, microbatches }: Of<'prepare'>): void {
    this.opened.thread.request({ kind: 'prepare', step, microbatches });
  }

  apply({ step, exponents, skip, then }: Of<'apply'>): void {
    const { digest } = this.atRest();
    this.weights = null;
    this.opened.thread.request({ kind: 'apply', step, exponents, skip, digest, then, job: ++this.job });
  }

  check(): void {
    const state = this.atRest();
    this.effects.afterwards(() => {
      const what = this.opened.localSum.check(state);
      this.deciding.dispatch(what === null ? { type: 'checked' } : { type: 'corrupt', what });
    });
  }

  fold(effect: Of<'fold'>): void {
    const { part, gradients, exponents } = effect;
    const { buckets } = this.opened;
    const state = this.atRest();
    const sums = bucketsIn(buckets, part).map((bucket): BucketSum => {
      const first = part === 'early' ? 0 : bucket.tensor;
      return {
        bucket,
        gradients: gradients.map(({ microbatch, buffer, early, late }) => {
          const marks = bucket === buckets.early ? early : late;
          if (marks === null) throw new Error(`microbatch ${microbatch} is to be summed, but is still being computed`);
          return { microbatch, buffer, marks };
        }),
        exponents: exponents.slice(first, first + bucket.table.length),
      };
    });
    this.effects.afterwards(() => void this.sum(effect, state, sums));
  }

  private async sum({ generation, step, part }: SumName, state: AtRest, sums: readonly BucketSum[]): Promise<void> {
    const { localSum, wire, pause } = this.opened;
    try {
      for (const { bucket, gradients, exponents } of sums) {
        const what = await localSum.fold(state, bucket, gradients, exponents);
        if (what === null) continue;
        this.deciding.dispatch({ type: 'corrupt', what });
        return;
      }
      await toWire(this.sumOf(part), wire, pause);
      this.deciding.dispatch({ type: 'folded', generation, step, part });
    } catch (error) {
      this.deciding.fail(failureOf(error));
    }
  }

  /** A part of this worker's sum, for the ring to add the others' to. */
  toRing(part: Part): SumArray {
    return onWire(this.sumOf(part), this.opened.wire);
  }

  /** The ring has made the total of it. */
  async fromRing(part: Part): Promise<void> {
    const { wire, pause } = this.opened;
    await fromWire(this.sumOf(part), wire, pause);
  }

  /** A copy of the state in memory. */
  snapshot(): StateArrays {
    return snapshotOf(this.opened.arena.state);
  }

  get parameters(): number {
    return this.opened.parameters;
  }

  get arithmetic(): Arithmetic {
    return this.opened.arithmetic;
  }

  /** Puts another state into memory. Returns its digest, as it lies there now. */
  replace(state: StateArrays): string {
    copyState(state, this.opened.arena.state);
    const { digest, weights } = this.opened.localSum.mark();
    this.weights = weights;
    return digest;
  }

  /** Nobody asks anything more. */
  release(): void {
    this.engine?.thread.release();
  }

  private get opened(): Opened {
    if (this.engine === null) throw new Error('nothing is initialised');
    return this.engine;
  }

  /** The part's place in memory. */
  private sumOf(part: Part): Int32Array {
    const { arena, buckets } = this.opened;
    const ranges = bucketsIn(buckets, part);
    return arena.sum.subarray(ranges[0]?.from, ranges.at(-1)?.to);
  }

  /** The state in memory, which core.ts has nobody change now. */
  private atRest(): AtRest & { readonly digest: string } {
    const { have } = this.deciding.state;
    if (have === null || this.weights === null) throw new Error('the state is not at rest');
    return { ...have, weights: this.weights };
  }

  private replied(reply: ComputeReply): void {
    const { deciding } = this;
    switch (reply.kind) {
      case 'initialised': {
        const { marks, probe, engine } = reply;
        this.weights = marks.weights;
        this.initialised = true;
        deciding.dispatch({ type: 'initialised', have: { step: 0, digest: marks.digest }, probe, engine });
        break;
      }
      case 'early': {
        const { step, microbatch, buffer, early } = reply;
        const stored = { microbatch, buffer, early, late: null };
        deciding.dispatch({ type: 'early', step, microbatch, exponents: [...early.exponents], stored });
        break;
      }
      case 'computed': {
        const { step, microbatch, buffer, early, late, goesOn } = reply;
        const { loss, figures, samples, digest, milliseconds, cpuMilliseconds } = reply;
        const exponents = [...late.exponents, ...early.exponents];
        const stored = { microbatch, buffer, early, late };
        const gradient = { loss, figures, exponents, samples, digest, milliseconds, cpuMilliseconds, stored };
        deciding.dispatch({ type: 'computed', step, microbatch, gradient, goesOn });
        break;
      }
      case 'applied': {
        const { step, marks, goesOn } = reply;
        this.weights = marks.weights;
        if ((step + 1) % this.opened.checkpointEvery === 0) this.retained = { step: step + 1, state: this.snapshot() };
        deciding.dispatch({ type: 'applied', step, digest: marks.digest, goesOn });
        break;
      }
      case 'corrupt':
        deciding.dispatch({ type: 'corrupt', what: reply.what });
        break;
      case 'failed':
        deciding.dispatch({ type: 'failed', code: reply.code, message: reply.message });
        break;
      default:
        reply satisfies never;
    }
  }
}
