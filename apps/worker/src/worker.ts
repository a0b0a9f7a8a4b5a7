/**
 * The worker's edge: control connection, ring, compute thread, state over HTTP, clock. It turns what happens into events
 * for core.ts and carries the effects out.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { WebSocket } from 'ws';
import {
  CONTROL_PATH,
  DataServer,
  MAX_CONTROL_BYTES,
  heartbeatInterval,
  parseCoordinatorMessage,
  sendMessage,
  unpackMessage,
  type Member,
  type RingLink,
  type RunSettings,
} from '@lockstep/comm';
import { failureOf } from '@lockstep/config';
import { encodeState, encodedStateBytes, fetchState, stateDigest } from '@lockstep/checkpoint';
import {
  initialTrainingState,
  parameterCount,
  parameterTable,
  recipeOf,
  type TrainingState,
} from '@lockstep/diffusion';
import { allocateArena, copyState, openArena, snapshotOf, type Arena } from './arena.js';
import { ComputeThread, type ComputeReply, type ComputeSetup } from './compute.js';
import { step } from './core.js';
import { initialState, type Effect, type Event, type State } from './state.js';

/** First pause before dialling the coordinator again; doubles up to the second, with jitter. Milliseconds. */
const FIRST_BACKOFF_MS = 100;
const LONGEST_BACKOFF_MS = 2_000;
/** A worker without a coordinator for this long ends with E_COORDINATOR_UNREACHABLE. Milliseconds. */
const GIVE_UP_MS = 600_000;
/** Before the coordinator's first word its pace is not known. Milliseconds. */
const UNTIL_WELCOME_TIMEOUT_MS = 10_000;

export interface WorkerOptions {
  readonly id: string;
  /** The coordinator's base URL, ws://host:port. */
  readonly coordinator: string;
  readonly host: string;
  readonly advertiseHost: string;
  readonly port: number;
  readonly compute: ComputeSetup;
  readonly now: () => number;
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

export class TrainingWorker {
  readonly finished: Promise<Ending>;
  private state: State;
  private socket: WebSocket | null = null;
  private heartbeatTimeoutMs = UNTIL_WELCOME_TIMEOUT_MS;
  private lastHeard: number;
  private disconnectedSince: number;
  private backoff = FIRST_BACKOFF_MS;
  private compute: ComputeThread | null = null;
  private arena: Arena | null = null;
  private parameters = 0;
  private checkpointEvery = Infinity;
  private retained: { readonly step: number; readonly state: TrainingState } | null = null;
  private link: RingLink | null = null;
  private ringAbort = new AbortController();
  private server: DataServer | null = null;
  private over = false;
  private beat: NodeJS.Timeout | null = null;
  private end: (ending: Ending) => void = () => undefined;

  private constructor(private readonly options: WorkerOptions) {
    this.state = initialState(options.id, options.advertiseHost, options.port);
    this.finished = new Promise((resolve) => (this.end = resolve));
    this.lastHeard = options.now();
    this.disconnectedSince = options.now();
  }

  /** Opens the data port, then looks for the coordinator. Rejects if the port cannot be had. */
  static async start(options: WorkerOptions): Promise<TrainingWorker> {
    const worker = new TrainingWorker(options);
    const server = await DataServer.listen({
      host: options.host,
      port: options.port,
      selfId: options.id,
      handleRequest: (request, response) => worker.answer(request, response),
    });
    worker.server = server;
    worker.state = initialState(options.id, options.advertiseHost, server.port);
    worker.connect();
    worker.scheduleBeat();
    return worker;
  }

  /** Tells the coordinator, and ends. */
  leave(reason: string): void {
    this.dispatch({ type: 'leave', reason });
  }

  private dispatch(event: Event): void {
    if (this.over) return;
    const { state, effects } = step(this.state, event);
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: Effect): void {
    switch (effect.type) {
      case 'send':
        if (this.socket !== null) sendMessage(this.socket, effect.message);
        break;
      case 'initialise':
        this.initialise(effect.settings);
        break;
      case 'compute':
        this.compute?.request({ kind: 'compute', step: effect.step, microbatch: effect.microbatch });
        break;
      case 'fold':
        this.compute?.request({
          kind: 'fold',
          generation: effect.generation,
          contribute: effect.contribute,
          exponents: effect.exponents,
        });
        break;
      case 'apply':
        this.compute?.request({ kind: 'apply', step: effect.step, exponents: effect.exponents });
        break;
      case 'digest':
        // After the effects that follow: the compute thread must have its next order before this thread is busy.
        setImmediate(() => this.digest(effect.step));
        break;
      case 'joinRing':
        void this.joinRing(effect.generation, effect.ring);
        break;
      case 'leaveRing':
        this.ringAbort.abort();
        this.link?.close();
        this.link = null;
        break;
      case 'allReduce':
        void this.allReduce(effect.generation, effect.step);
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

  // ---- control connection ----------------------------------------------------------------------------------------

  private connect(): void {
    if (this.over) return;
    const socket = new WebSocket(this.options.coordinator + CONTROL_PATH, {
      perMessageDeflate: false,
      maxPayload: MAX_CONTROL_BYTES,
      handshakeTimeout: this.heartbeatTimeoutMs,
    });
    this.socket = socket;
    socket.on('open', () => {
      this.lastHeard = this.options.now();
      this.backoff = FIRST_BACKOFF_MS;
      this.dispatch({ type: 'connected' });
    });
    socket.on('message', (data) => {
      if (this.socket !== socket) return;
      this.lastHeard = this.options.now();
      try {
        const message = parseCoordinatorMessage(unpackMessage(data));
        if (message.type === 'welcome') this.heartbeatTimeoutMs = message.heartbeatTimeoutMs;
        this.dispatch({ type: 'message', message });
      } catch (error) {
        this.fail(error);
      }
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.socket !== socket || this.over) return;
      this.socket = null;
      if (this.state.connected) {
        this.disconnectedSince = this.options.now();
        this.options.log('warn', 'lost the coordinator; trying again');
        this.dispatch({ type: 'disconnected' });
      }
      const waited = this.options.now() - this.disconnectedSince;
      if (waited > GIVE_UP_MS) {
        const reason = `no coordinator at ${this.options.coordinator} for ${Math.round(waited / 1000)} s; check that it runs and that the address is right`;
        void this.close({ status: 4, code: 'E_COORDINATOR_UNREACHABLE', reason });
        return;
      }
      setTimeout(() => this.connect(), this.backoff * (0.5 + this.options.random()));
      this.backoff = Math.min(LONGEST_BACKOFF_MS, this.backoff * 2);
    });
  }

  private scheduleBeat(): void {
    this.beat = setTimeout(() => {
      if (this.state.connected) {
        this.dispatch({ type: 'heartbeatDue' });
        if (this.options.now() - this.lastHeard > this.heartbeatTimeoutMs) {
          this.options.log(
            'warn',
            `E_COORDINATOR_SILENT: nothing heard for ${this.heartbeatTimeoutMs} ms; connecting anew`,
          );
          this.socket?.terminate();
        }
      }
      if (!this.over) this.scheduleBeat();
    }, heartbeatInterval(this.heartbeatTimeoutMs));
  }

  // ---- compute thread --------------------------------------------------------------------------------------------

  private initialise(settings: RunSettings): void {
    try {
      const recipe = recipeOf(settings);
      this.parameters = parameterCount(parameterTable(recipe.model));
      this.checkpointEvery = settings.checkpointEvery;
      const buffers = allocateArena(this.parameters);
      this.arena = openArena(buffers);
      copyState(initialTrainingState(recipe, settings.seed), this.arena.state);
      this.compute = new ComputeThread(this.options.compute, (reply) => this.computeReplied(reply));
      this.compute.request({ kind: 'initialise', settings, buffers });
    } catch (error) {
      this.fail(error);
    }
  }

  private computeReplied(reply: ComputeReply): void {
    switch (reply.kind) {
      case 'initialised':
        this.dispatch({
          type: 'initialised',
          have: { step: 0, digest: this.digestNow(0) },
          probe: reply.probe,
          engine: reply.engine,
        });
        break;
      case 'computed': {
        const { loss, exponents, milliseconds } = reply;
        this.dispatch({
          type: 'computed',
          step: reply.step,
          microbatch: reply.microbatch,
          gradient: { loss, exponents, milliseconds },
        });
        break;
      }
      case 'folded':
        this.dispatch({ type: 'folded', generation: reply.generation });
        break;
      case 'applied':
        if ((reply.step + 1) % this.checkpointEvery === 0 && this.arena !== null) {
          // Kept until the next one, so that the coordinator can fetch it while training goes on.
          this.retained = { step: reply.step + 1, state: snapshotOf(this.arena.state) };
        }
        this.dispatch({ type: 'applied', step: reply.step });
        break;
      case 'failed':
        void this.close({ status: 1, code: reply.code, reason: reply.message });
        break;
      default:
        reply satisfies never;
    }
  }

  private digest(ofStep: number): void {
    // The state may have moved on: then its own digest follows.
    if (this.state.have?.step === ofStep && this.state.busy?.kind !== 'apply') {
      this.dispatch({ type: 'digested', step: ofStep, digest: this.digestNow(ofStep) });
    }
  }

  private digestNow(ofStep: number): string {
    if (this.arena === null) throw new Error('there is no state yet');
    return stateDigest({ step: ofStep, ...this.arena.state });
  }

  // ---- ring ------------------------------------------------------------------------------------------------------

  private async joinRing(generation: number, ring: readonly Member[]): Promise<void> {
    const abort = new AbortController();
    this.ringAbort = abort;
    try {
      if (this.server === null) throw new Error('the data port is not open');
      const link = await this.server.joinRing({ generation, ring, signal: abort.signal });
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

  private async allReduce(generation: number, ofStep: number): Promise<void> {
    const abort = this.ringAbort;
    try {
      if (this.link === null || this.arena === null) throw new Error('the ring is not connected');
      const stats = await this.link.allReduce({ step: ofStep, buffer: this.arena.sum, signal: abort.signal });
      this.dispatch({ type: 'summed', generation, milliseconds: stats.seconds * 1000, bytes: stats.bytesSent });
    } catch (error) {
      this.ringFailed(generation, abort, error);
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
    for (const source of sources) {
      const url = source.startsWith('/') ? base + source : source;
      try {
        const started = this.options.now();
        const state = await fetchState(url, wanted, digest, this.parameters);
        if (this.over || this.arena === null) return;
        copyState(state, this.arena.state);
        const seconds = Math.max(1e-3, (this.options.now() - started) / 1000);
        const megabytes = encodedStateBytes(this.parameters) / 1e6;
        this.options.log(
          'info',
          `loaded state ${wanted} from ${url}: ${megabytes.toFixed(1)} MB at ${(megabytes / seconds).toFixed(0)} MB/s, digest verified`,
        );
        this.dispatch({ type: 'loaded', step: wanted, digest });
        return;
      } catch (error) {
        failures.push(`${url}: ${failureOf(error).message}`);
      }
    }
    this.dispatch({
      type: 'loadFailed',
      generation,
      code: 'E_STATE_UNAVAILABLE',
      message: `no source gave state ${wanted}: ${failures.join('; ')}`,
    });
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
    if (this.beat !== null) clearTimeout(this.beat);
    const { socket } = this;
    if (socket !== null && socket.readyState === socket.OPEN) {
      await new Promise<void>((resolve) => {
        socket.once('close', () => resolve());
        setTimeout(resolve, this.heartbeatTimeoutMs / 10).unref();
        socket.close(1000, ending.code);
      });
    }
    socket?.terminate();
    await this.server?.close();
    this.end(ending);
  }
}
