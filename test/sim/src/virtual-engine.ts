/**
 * The engine of a simulated worker: the production memory and local sum, on numbers that stand for tensors (numerics.ts), and a compute
 * thread that takes virtual time. A state's weights are the bytes of its digest; a gradient is two integers, one a bucket.
 */
import type { TrainingState } from '@lockstep/run';
import {
  allocateArena,
  cut,
  openArena,
  type Arena,
  type BucketMarks,
  type Buckets,
  type ComputeReply,
  type ComputeRequest,
  type ComputeThread,
  type OpenEngine,
  type RunEngine,
  type SumPasses,
  type WantedGradient,
} from '@lockstep/worker';
import {
  BAD_MICROBATCH,
  BAD_STEP,
  BUCKETS,
  SEED_DIGEST,
  TENSORS,
  earlyTensors,
  exponentsIn,
  exponentsOf,
  foldOf,
  gradientOf,
  hashOf,
  figureOf,
  lossOf,
  nextDigest,
  samplesOf,
  type Bucket,
} from './numerics.js';
import type { WorkerNode } from './worker-node.js';

/** A thread's reply is read so much later at most. Milliseconds. */
const REPLY_MS = 2;
/** Of a sum, or of the pieces of one. Milliseconds. */
const PIECE_MS = 3;
/** Numbers of a state array: 32 bytes of a digest. */
const PARAMETERS = 8;
const HEX = 'hex';

/** One number a tensor; the early bucket has the last ones. */
const SPANS = Array.from({ length: TENSORS }, (_, tensor) => ({ name: `${tensor}`, offset: tensor, size: 1 }));
const bucketsOf = (inOnePiece: boolean): Buckets => cut(SPANS, TENSORS - earlyTensors(inOnePiece));
const { late, early } = bucketsOf(false);
/** Where a bucket's number lies. */
const PLACES: Readonly<Record<Bucket, number>> = { late: late.from, early: early.from };
/** Of an early bucket that is empty. */
const EMPTY: BucketMarks = { exponents: new Int16Array(0), checksum: 0 };

/** What is in a state. */
export function digestOf({ weights }: Pick<TrainingState, 'weights'>): string {
  return Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength).toString(HEX);
}

function put(digest: string, { weights }: Pick<TrainingState, 'weights'>): void {
  Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength).set(Buffer.from(digest, HEX));
}

/** The state with this digest. */
export function stateOf(step: number, digest: string): TrainingState {
  const nothing = new Float32Array(PARAMETERS);
  const state = { step, weights: new Float32Array(PARAMETERS), expAvg: nothing, expAvgSq: nothing, ema: nothing };
  put(digest, state);
  return state;
}

/** Changes with any bit. */
function checksumOf({ buffer, byteOffset, length }: Float32Array): number {
  return new Uint32Array(buffer, byteOffset, length).reduce((mixed, word) => (mixed ^ word) >>> 0, 0);
}

export class VirtualEngine {
  private arena: Arena | null = null;
  private flips = 0;

  constructor(private readonly node: WorkerNode) {}

  readonly open: OpenEngine = (_settings, halted, onReply) => Promise.resolve(this.opened(halted, onReply));

  private opened(halted: Int32Array<SharedArrayBuffer>, onReply: (reply: ComputeReply) => void): RunEngine {
    const arena = openArena(allocateArena(PARAMETERS));
    this.arena = arena;
    put(SEED_DIGEST, arena.state);
    const thread = new VirtualThread(this.node, arena, halted, onReply);
    thread.begin();
    return {
      parameters: PARAMETERS,
      buckets: bucketsOf(this.node.cluster.options.inOnePiece),
      arena,
      passes: passesOf(this.node),
      pause: () => this.node.wait(0, PIECE_MS),
      thread,
    };
  }

  /** One bit of the weights flips: another one each time, as two flips of one bit would be none, and what was computed in between wrong. */
  flip(): void {
    if (this.arena === null) return;
    const { weights } = this.arena.state;
    new Uint32Array(weights.buffer, weights.byteOffset, weights.length)[0] ^= 1 << (7 + this.flips++);
  }
}

function passesOf(node: WorkerNode): SumPasses {
  return {
    checksum: checksumOf,
    marks: ({ state }) => ({ digest: digestOf(state), weights: checksumOf(state.weights) }),
    *fold(bucket, sum, summands, exponents) {
      node.looksAtSum(sum, bucket.from);
      const values = summands.map(({ values: { buffer } }) => new Int32Array(buffer)[bucket.from] ?? 0);
      yield undefined;
      node.looksAtSum(sum, bucket.from);
      sum[bucket.from] = foldOf(values, [...exponents]);
      return values;
    },
  };
}

class VirtualThread implements ComputeThread {
  /** Microbatch of which only the early bucket is there. */
  private begun: {
    readonly microbatch: number;
    readonly buffer: SharedArrayBuffer;
    readonly marks: BucketMarks;
  } | null = null;
  private lastReply = 0;
  /** Memory of the gradients of the step that is being done, and memory that is free. */
  private taken: SharedArrayBuffer[] = [];
  private readonly free: SharedArrayBuffer[] = [];
  private slotsOf = 0;

  constructor(
    private readonly node: WorkerNode,
    private readonly arena: Arena,
    private readonly halted: Int32Array,
    private readonly onReply: (reply: ComputeReply) => void,
  ) {}

  begin(): void {
    this.node.later(10, 200, () => {
      const marks = { digest: this.digest, weights: checksumOf(this.arena.state.weights) };
      this.onReply({ kind: 'initialised', marks, probe: hashOf('probe'), engine: { sim: '1' } });
    });
  }

  request(request: ComputeRequest): void {
    switch (request.kind) {
      case 'initialise':
        throw new Error('a simulated thread is initialised when it begins');
      case 'compute':
        this.work(request.step, request.wanted, request.job);
        break;
      case 'prepare':
        // Only makes the next gradients quicker.
        break;
      case 'apply':
        this.node.later(1, 10, () => this.apply(request));
        break;
      default:
        request satisfies never;
    }
  }

  release(): void {
    this.forget();
  }

  private get inOnePiece(): boolean {
    return this.node.cluster.options.inOnePiece;
  }

  private get digest(): string {
    return digestOf(this.arena.state);
  }

  /** In order, as a thread's messages are. */
  private reply(reply: ComputeReply): void {
    const { node } = this;
    const { world } = node.cluster;
    this.lastReply = Math.max(this.lastReply, world.now + world.random.between(0, REPLY_MS));
    world.after(this.lastReply - world.now, () => node.post(() => this.onReply(reply)));
  }

  private apply({ step, skip, digest, then, job }: Extract<ComputeRequest, { kind: 'apply' }>): void {
    const { arena, node } = this;
    this.forget();
    if (this.digest !== digest) return this.reply({ kind: 'corrupt', what: 'the state changed' });
    const sums = { late: arena.sum[PLACES.late] ?? 0, early: this.inOnePiece ? 0 : (arena.sum[PLACES.early] ?? 0) };
    if (!skip) put(nextDigest(digest, step, sums), arena.state);
    if (node.isStruck('apply')) put(hashOf('bad', this.digest), arena.state);
    const goesOn = then.length > 0 && this.mayGoOn(job);
    const marks = { digest: this.digest, weights: checksumOf(arena.state.weights) };
    this.reply({ kind: 'applied', step, marks, goesOn });
    if (goesOn) this.work(step + 1, then, job);
  }

  private mayGoOn(job: number): boolean {
    return (this.halted[0] ?? 0) < job;
  }

  /** One gradient after another, until it is halted. */
  private work(step: number, [first, ...then]: readonly WantedGradient[], job: number): void {
    if (first === undefined) throw new Error('asked to compute nothing');
    const { node } = this;
    const { world } = node.cluster;
    const milliseconds = world.random.between(10, 100) * node.slowness;
    const started = node.clock.now();
    if (then.length === 0 && !this.inOnePiece)
      world.after(milliseconds * world.random.unit(), () => node.post(() => this.early(step, first.microbatch)));
    world.after(milliseconds, () =>
      node.post(() => {
        const goesOn = then.length > 0 && this.mayGoOn(job);
        this.computed(step, first, node.clock.now() - started, goesOn);
        if (!goesOn) return;
        node.goesOnWith(step, then[0]?.microbatch);
        this.work(step, then, job);
      }),
    );
  }

  /** The early bucket of the last gradient is there. */
  private early(step: number, microbatch: number): void {
    const buffer = this.slot(step);
    const marks = this.made(buffer, step, microbatch, 'early');
    this.begun = { microbatch, buffer, marks };
    this.reply({ kind: 'early', step, microbatch, buffer, early: marks });
  }

  private computed(step: number, { microbatch, digest }: WantedGradient, milliseconds: number, goesOn: boolean): void {
    const { begun, node } = this;
    const [buffer, early] =
      begun?.microbatch === microbatch ? [begun.buffer, begun.marks] : this.whole(step, microbatch);
    this.begun = null;
    const late = this.made(buffer, step, microbatch, 'late');
    const bad = node.cluster.options.nonFinite === 'skip' && step === BAD_STEP && microbatch === BAD_MICROBATCH;
    const numbers = new Int32Array(buffer);
    const buckets = BUCKETS.filter((bucket) => bucket === 'late' || !this.inOnePiece);
    this.reply({
      kind: 'computed',
      step,
      microbatch,
      buffer,
      early,
      late,
      loss: bad ? null : lossOf(this.digest, step, microbatch),
      figures: [bad ? NaN : figureOf(this.digest, step, microbatch)],
      samples: samplesOf(step, microbatch),
      digest: digest ? hashOf('bits', ...buckets.map((bucket) => numbers[PLACES[bucket]] ?? 0)) : null,
      goesOn,
      milliseconds,
      cpuMilliseconds: milliseconds,
    });
  }

  private whole(step: number, microbatch: number): [SharedArrayBuffer, BucketMarks] {
    const buffer = this.slot(step);
    return [buffer, this.inOnePiece ? EMPTY : this.made(buffer, step, microbatch, 'early')];
  }

  private made(buffer: SharedArrayBuffer, step: number, microbatch: number, bucket: Bucket): BucketMarks {
    const { node, digest } = this;
    const bit = node.isStruck('gradient') ? 1 + Math.floor(node.cluster.world.random.unit() * 1_000) : 0;
    const checksum = gradientOf(digest, step, microbatch, bucket) ^ bit;
    new Int32Array(buffer)[PLACES[bucket]] = checksum;
    return {
      exponents: Int16Array.from(exponentsIn(bucket, exponentsOf(digest, step, microbatch), this.inOnePiece)),
      checksum,
    };
  }

  private slot(step: number): SharedArrayBuffer {
    if (step !== this.slotsOf) this.forget();
    this.slotsOf = step;
    const buffer = this.free.pop() ?? new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT * TENSORS);
    this.taken.push(buffer);
    return buffer;
  }

  /** The gradients' memory gets other numbers: nobody may read it any more. */
  private forget(): void {
    for (const buffer of this.taken.splice(0)) {
      new Int32Array(buffer).fill(-1);
      this.free.push(buffer);
    }
  }
}
