/**
 * The worker's edge: control connection, ring, threads, state over HTTP, clock. It turns what happens into events for
 * core.ts and carries the effects out.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { DataServer, type AllReduceLink, type CoordinatorMessage, type Place, type RunSettings } from '@lockstep/comm';
import { type Wire } from '@lockstep/exact';
import { EffectQueue, failureOf } from '@lockstep/base';
import { encodeState, encodedStateBytes, fetchState, openTrace, type Trace } from '@lockstep/run';
import {
  initialTrainingState,
  parameterCount,
  parameterTable,
  parseRecipe,
  type TrainingState,
} from '@lockstep/diffusion';
import { allocateArena, copyState, openArena, snapshotOf, type Arena } from '../compute/arena.js';
import { bucketsIn, bucketsOf, type Bucket, type Buckets, type Part } from '../compute/buckets.js';
import { startCompute, type ComputeReply, type ComputeRequest, type ComputeSetup } from '../compute/compute.js';
import { ControlConnection } from './control-connection.js';
import { step } from '../decide/core.js';
import { passesFor } from '../compute/native-passes.js';
import { Reducer, type AtRest, type StoredBucket, type StoredGradient } from '../compute/reducer.js';
import type { FailedReply, ServiceThread } from '../compute/service-thread.js';
import { stageOf } from '../decide/stage.js';
import { initialState, type Effect, type Event, type Identity, type State, type SumName } from '../decide/state.js';
import { fromWire, onWire, toWire } from '../compute/wire-sum.js';

export interface WorkerOptions {
  readonly id: string;
  /** 128 random bits in hex, this process's alone. */
  readonly instance: string;
  /** The coordinator's base URL, ws://host:port. */
  readonly coordinator: string;
  readonly host: string;
  readonly advertiseHost: string;
  readonly port: number;
  /** What its data port is called besides `host` and `advertiseHost`: see serverNames of libs/comm. */
  readonly names: readonly string[];
  /** Name of the local socket for neighbours on this host, or null for none. */
  readonly localName: string | null;
  readonly compute: ComputeSetup;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicNow: () => number;
  /** In [0, 1): jitter of the reconnect pauses. */
  readonly random: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', text: string) => void;
}

/** How the worker ended: the process's exit status, a code and why. */
export interface Ending {
  readonly status: number;
  readonly code: string;
  readonly reason: string;
}

/** What of a sum is of one bucket. */
interface BucketSum {
  readonly bucket: Bucket;
  readonly gradients: readonly StoredBucket[];
  readonly exponents: readonly number[];
}

export class TrainingWorker {
  readonly finished: Promise<Ending>;
  private state: State;
  private readonly effects = new EffectQueue<Effect>((effect) => {
    this.perform(effect);
    return undefined;
  });
  private readonly control: ControlConnection;
  private compute: ServiceThread<ComputeRequest, ComputeReply> | null = null;
  private reducer: Reducer | null = null;
  /** Number of the newest request to the compute thread that has tasks, and up to which number they are halted. */
  private job = 0;
  private readonly halted: Int32Array<SharedArrayBuffer> = new Int32Array(
    new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
  );
  private arena: Arena | null = null;
  private buckets: Buckets | null = null;
  private parameters = 0;
  private wire: Wire = 'int32';
  private checkpointEvery = Infinity;
  private retained: { readonly step: number; readonly state: TrainingState } | null = null;
  /** Of the weights in the arena; null while they are being changed, or before a thread has told it. */
  private weights: number | null = null;
  /** Gradients of the state in the arena, by microbatch. */
  private readonly gradients = new Map<number, StoredGradient>();
  private link: AllReduceLink | null = null;
  private ringAbort = new AbortController();
  private server: DataServer | null = null;
  private readonly trace: Trace;
  private over = false;
  private initialised = false;
  private end: (ending: Ending) => void = () => undefined;

  private constructor(private readonly options: WorkerOptions) {
    this.state = initialState(identityOf(options, options.port, null));
    this.finished = new Promise((resolve) => (this.end = resolve));
    this.trace = openTrace(options.compute.trace, 'io');
    const { coordinator, monotonicNow, random, log } = options;
    this.control = new ControlConnection({
      coordinator,
      monotonicNow,
      random,
      onOpen: () => this.dispatch({ type: 'connected' }),
      onMessage: (message) => this.heard(message),
      onLost: () => {
        if (this.state.refusedSince === null) log('warn', 'lost the coordinator; trying again');
        this.dispatch({ type: 'disconnected' });
      },
      onBeat: () => this.dispatch({ type: 'heartbeatDue' }),
      onRefused: ({ code, message }) => void this.close({ status: 3, code, reason: message }),
      onInvalid: (error) => this.fail(error),
      onSilent: (silence) => log('warn', `E_COORDINATOR_SILENT: nothing heard for ${silence} ms; connecting anew`),
      onUnreachable: (waited) => {
        const reason = `no coordinator at ${coordinator} for ${Math.round(waited / 1000)} s; check that it runs and that the address is right`;
        void this.close({ status: 4, code: 'E_COORDINATOR_UNREACHABLE', reason });
      },
    });
  }

  /** Opens the data port, then looks for the coordinator. Rejects if the port cannot be had. */
  static async start(options: WorkerOptions): Promise<TrainingWorker> {
    const worker = new TrainingWorker(options);
    const server = await DataServer.listen({
      host: options.host,
      port: options.port,
      selfId: options.id,
      names: [options.advertiseHost, ...options.names],
      localName: options.localName,
      handleRequest: (request, response) => worker.answer(request, response),
      log: (event, fields) => options.log('info', `${event}: ${JSON.stringify(fields)}`),
    });
    worker.server = server;
    worker.state = initialState(identityOf(options, server.port, server.local));
    worker.control.start();
    return worker;
  }

  /** Whether it has come so far that it could take part in the run. */
  get wasReady(): boolean {
    return this.initialised;
  }

  /**
   * Tells the coordinator, hands over what it holds, for a bounded time, and ends.
   *
   * @param atOnce without handing anything over
   */
  leave(reason: string, atOnce = false): void {
    this.dispatch({ type: 'leave', reason, atOnce });
    if (this.over) return;
    setTimeout(() => {
      this.dispatch({ type: 'leave', reason: `${reason}; its coordinator did not let it go`, atOnce: true });
    }, this.control.timeouts.handOverMs).unref();
  }

  /** Its parent process is gone: it ends when the coordinator says so, or is gone too. */
  orphan(reason: string): void {
    this.dispatch({ type: 'orphaned', reason });
  }

  private heard(message: CoordinatorMessage): void {
    if (message.type === 'welcome') this.control.pace(message.heartbeatTimeoutMs);
    this.dispatch({ type: 'message', message, now: this.options.monotonicNow() });
  }

  private dispatch(event: Event): void {
    if (this.over) return;
    try {
      const { state, effects } = step(this.state, event);
      this.state = state;
      this.trace.stage(...stageOf(state));
      this.effects.push(effects);
    } catch (error) {
      this.fail(error);
    }
  }

  private perform(effect: Effect): void {
    switch (effect.type) {
      case 'send':
        this.control.send(effect.message);
        break;
      case 'initialise':
        this.initialise(effect.settings);
        break;
      case 'compute': {
        const { step: ofStep, tasks } = effect;
        this.compute?.request({ kind: 'compute', step: ofStep, tasks, job: ++this.job });
        break;
      }
      case 'halt':
        Atomics.store(this.halted, 0, this.job);
        break;
      case 'fold':
        this.fold(effect);
        break;
      case 'check': {
        const state = this.atRest();
        this.effects.afterwards(() => this.check(state));
        break;
      }
      case 'apply':
        this.apply(effect);
        break;
      case 'prepare': {
        const { step: ofStep, microbatches } = effect;
        this.compute?.request({ kind: 'prepare', step: ofStep, microbatches });
        break;
      }
      case 'joinRing':
        void this.joinRing(effect.generation, effect.place);
        break;
      case 'leaveRing':
        this.ringAbort.abort();
        this.link?.close();
        this.link = null;
        break;
      case 'allReduce':
        void this.allReduce(effect);
        break;
      case 'load':
        void this.load(effect);
        break;
      case 'log':
        this.options.log(effect.level, effect.text);
        break;
      case 'exit':
        void this.close({ status: effect.status, code: effect.code, reason: effect.reason });
        break;
      default:
        effect satisfies never;
    }
  }

  // ---- threads -------------------------------------------------------------------------------------------------------

  private initialise(settings: RunSettings): void {
    try {
      const recipe = parseRecipe(settings.recipe);
      this.parameters = parameterCount(parameterTable(recipe.model));
      this.buckets = bucketsOf(recipe.model);
      this.wire = settings.wire;
      this.checkpointEvery = settings.checkpointEvery;
      const buffers = allocateArena(this.parameters);
      this.arena = openArena(buffers);
      copyState(initialTrainingState(recipe, settings.seed), this.arena.state);
      this.reducer = new Reducer(this.arena, passesFor(settings, this.options.compute.engineDirectory));
      this.compute = startCompute(this.options.compute, (reply) => this.computeReplied(reply));
      this.compute.request({ kind: 'initialise', settings, buffers, halted: this.halted.buffer });
    } catch (error) {
      this.fail(error);
    }
  }

  private computeReplied(reply: ComputeReply): void {
    switch (reply.kind) {
      case 'initialised': {
        const { marks, probe, engine } = reply;
        this.weights = marks.weights;
        this.initialised = true;
        this.dispatch({ type: 'initialised', have: { step: 0, digest: marks.digest }, probe, engine });
        break;
      }
      case 'early': {
        const { step: ofStep, microbatch, buffer, early } = reply;
        if (this.state.have?.step === ofStep) this.gradients.set(microbatch, { microbatch, buffer, early, late: null });
        this.dispatch({ type: 'early', step: ofStep, microbatch, exponents: [...early.exponents] });
        break;
      }
      case 'computed': {
        const { step: ofStep, microbatch, buffer, early, late, goesOn } = reply;
        const { loss, samples, digest, milliseconds, cpuMilliseconds } = reply;
        const exponents = [...late.exponents, ...early.exponents];
        if (this.state.have?.step === ofStep) this.gradients.set(microbatch, { microbatch, buffer, early, late });
        this.dispatch({
          type: 'computed',
          step: ofStep,
          microbatch,
          gradient: { loss, exponents, samples, digest, milliseconds, cpuMilliseconds },
          goesOn,
        });
        break;
      }
      case 'applied':
        this.gradients.clear();
        this.weights = reply.marks.weights;
        if ((reply.step + 1) % this.checkpointEvery === 0 && this.arena !== null) {
          // Kept until the next one, so that the coordinator can fetch it while training goes on.
          this.retained = { step: reply.step + 1, state: snapshotOf(this.arena.state) };
        }
        this.dispatch({ type: 'applied', step: reply.step, digest: reply.marks.digest, goesOn: reply.goesOn });
        break;
      case 'corrupt':
        this.dispatch({ type: 'corrupt', what: reply.what });
        break;
      case 'failed':
        this.threadFailed(reply);
        break;
      default:
        reply satisfies never;
    }
  }

  private threadFailed({ code, message }: FailedReply): void {
    void this.close({ status: 1, code, reason: message });
  }

  /** The state in the arena, which core.ts has nobody change now. */
  private atRest(): AtRest & { readonly digest: string } {
    const { have } = this.state;
    if (have === null || this.weights === null) throw new Error('the state is not at rest');
    return { ...have, weights: this.weights };
  }

  private apply({ step: ofStep, exponents, skip, then }: Extract<Effect, { type: 'apply' }>): void {
    const { digest } = this.atRest();
    this.weights = null;
    this.compute?.request({ kind: 'apply', step: ofStep, exponents, skip, digest, then, job: ++this.job });
  }

  private check(state: AtRest): void {
    const what = this.reducer?.check(state) ?? null;
    this.dispatch(what === null ? { type: 'checked' } : { type: 'corrupt', what });
  }

  private fold(effect: Extract<Effect, { type: 'fold' }>): void {
    const { part, contribute, exponents } = effect;
    if (this.buckets === null) throw new Error('nothing is initialised');
    const state = this.atRest();
    const { early } = this.buckets;
    // Taken now: a microbatch that is computed once more replaces what is held of it.
    const summands = bucketsIn(this.buckets, part).map((bucket): BucketSum => {
      const first = part === 'early' ? 0 : bucket.tensor;
      return {
        bucket,
        gradients: contribute.map((microbatch) => this.stored(microbatch, bucket === early ? 'early' : 'late')),
        exponents: exponents.slice(first, first + bucket.table.length),
      };
    });
    this.effects.afterwards(() => void this.sum(effect, state, summands));
  }

  private async sum({ generation, step: ofStep, part }: SumName, state: AtRest, sums: BucketSum[]): Promise<void> {
    try {
      if (this.reducer === null) throw new Error('nothing is initialised');
      for (const { bucket, gradients, exponents } of sums) {
        const what = await this.reducer.fold(state, bucket, gradients, exponents);
        if (what === null) continue;
        this.dispatch({ type: 'corrupt', what });
        return;
      }
      await toWire(this.sumOf(part), this.wire);
      this.dispatch({ type: 'folded', generation, step: ofStep, part });
    } catch (error) {
      this.fail(error);
    }
  }

  /** The part's place in the arena. */
  private sumOf(part: Part): Int32Array {
    if (this.arena === null || this.buckets === null) throw new Error('nothing is initialised');
    const ranges = bucketsIn(this.buckets, part);
    return this.arena.sum.subarray(ranges[0]?.from, ranges.at(-1)?.to);
  }

  private stored(microbatch: number, bucket: keyof Buckets): StoredBucket {
    const gradient = this.gradients.get(microbatch);
    const marks = gradient?.[bucket] ?? null;
    if (gradient === undefined || marks === null)
      throw new Error(`the ${bucket} bucket of microbatch ${microbatch} is to be summed, but is not held here`);
    return { microbatch, buffer: gradient.buffer, marks };
  }

  // ---- ring ------------------------------------------------------------------------------------------------------

  private async joinRing(generation: number, place: Place): Promise<void> {
    const abort = new AbortController();
    this.ringAbort = abort;
    try {
      if (this.server === null) throw new Error('the data port is not open');
      const { heartbeatTimeoutMs } = this.control;
      const link = await this.server.joinRing({ generation, place, heartbeatTimeoutMs, signal: abort.signal });
      if (abort.signal.aborted) {
        link.close();
        return;
      }
      this.link = link;
      this.dispatch({ type: 'ringJoined', generation });
    } catch (error) {
      this.ringFailed(generation, abort, error);
    }
  }

  private async allReduce({ generation, step: ofStep, part }: SumName): Promise<void> {
    const abort = this.ringAbort;
    try {
      if (this.link === null) throw new Error('the ring is not connected');
      const sum = this.sumOf(part);
      const round = 2 * ofStep + (part === 'early' ? 0 : 1);
      const stats = await this.link.allReduce({ round, buffer: onWire(sum, this.wire), signal: abort.signal });
      await fromWire(sum, this.wire);
      const [milliseconds, bytes] = [stats.seconds * 1000, stats.bytesSent];
      this.dispatch({ type: 'summed', generation, step: ofStep, part, milliseconds, bytes });
    } catch (error) {
      this.ringFailed(generation, abort, error);
    } finally {
      this.dispatch({ type: 'ringReleased' });
    }
  }

  private ringFailed(generation: number, abort: AbortController, error: unknown): void {
    if (abort.signal.aborted) return;
    const peer = error instanceof Error && 'peer' in error && typeof error.peer === 'string' ? error.peer : null;
    this.dispatch({ type: 'ringFailed', generation, peer, ...failureOf(error) });
  }

  // ---- state: fetched and served -----------------------------------------------------------------------------------

  private async load({ generation, step: wanted, digest, sources }: Extract<Effect, { type: 'load' }>): Promise<void> {
    const failures: string[] = [];
    const base = this.options.coordinator.replace(/^ws/, 'http');
    const stallMs = this.control.timeouts.transferStallMs;
    for (const path of sources) {
      const source = path.startsWith('/') ? base + path : path;
      const started = this.options.monotonicNow();
      try {
        const state = await fetchState(source, { step: wanted, digest, length: this.parameters, stallMs });
        if (this.over || this.arena === null) return;
        if (!this.mayReplaceState(wanted, digest)) {
          const message = `state ${wanted} came, but a newer plan does not start from it`;
          this.dispatch({ type: 'loadFailed', generation, code: 'E_STATE_OUTDATED', message });
          return;
        }
        this.takeState(state, wanted, digest, source, this.options.monotonicNow() - started);
        return;
      } catch (error) {
        failures.push(`${source}: ${failureOf(error).message}`);
      }
    }
    this.dispatch({
      type: 'loadFailed',
      generation,
      code: 'E_STATE_UNAVAILABLE',
      message: `no source gave state ${wanted}: ${failures.join('; ')}`,
    });
  }

  /** A newer plan may have come during the transfer: it may want the state in the arena, and the reducer may be reading that. */
  private mayReplaceState(wanted: number, digest: string): boolean {
    const { plan, reducing } = this.state;
    return reducing === null && plan?.step === wanted && plan.digest === digest;
  }

  private takeState(state: TrainingState, wanted: number, digest: string, source: string, milliseconds: number): void {
    if (this.arena === null) return;
    copyState(state, this.arena.state);
    this.gradients.clear();
    this.weights = null;
    const bytes = encodedStateBytes(this.parameters);
    const megabytesASecond = bytes / 1e3 / Math.max(1, milliseconds);
    this.options.log(
      'info',
      `loaded state ${wanted} from ${source}: ${(bytes / 1e6).toFixed(1)} MB at ${megabytesASecond.toFixed(0)} MB/s, digest verified`,
    );
    const found = this.reducer?.mark();
    this.weights = found?.weights ?? null;
    if (found?.digest === digest) this.dispatch({ type: 'loaded', step: wanted, digest, source, bytes, milliseconds });
    else this.dispatch({ type: 'corrupt', what: `state ${wanted} changed in memory while it was copied` });
  }

  /** GET /state/K: the state that this worker holds or retained, in the encoding of libs/checkpoint. */
  private answer(request: IncomingMessage, response: ServerResponse): void {
    const wanted = Number(/^\/state\/(\d{1,15})$/.exec(request.url ?? '')?.[1] ?? NaN);
    const state = request.method === 'GET' ? this.stateToServe(wanted) : null;
    if (state === null) {
      const body = `${JSON.stringify({ code: 'E_STATE_NOT_HELD', held: this.state.have?.step ?? null })}\n`;
      response.writeHead(404, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
      response.end(body);
      return;
    }
    response.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': encodedStateBytes(this.parameters),
    });
    for (const chunk of encodeState({ step: wanted, ...state })) response.write(chunk);
    response.end();
  }

  private stateToServe(wanted: number): TrainingState | null {
    if (this.retained?.step === wanted) return this.retained.state;
    const { have, busy } = this.state;
    const whole = busy?.kind !== 'apply' && busy?.kind !== 'load' && busy?.kind !== 'initialise';
    // A copy, as the next step may be applied before the last byte is sent.
    return have?.step === wanted && whole && this.arena !== null ? snapshotOf(this.arena.state) : null;
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  private fail(error: unknown): void {
    const { code, message } = failureOf(error);
    void this.close({ status: 1, code, reason: message });
  }

  private async close(ending: Ending): Promise<void> {
    if (this.over) return;
    this.over = true;
    this.trace.close();
    await this.control.close(ending.code);
    await this.server?.close();
    this.compute?.release();
    this.end(ending);
  }
}

function identityOf(options: WorkerOptions, port: number, local: string | null): Identity {
  const { id, instance, advertiseHost } = options;
  return { id, instance, host: advertiseHost, port, local };
}
