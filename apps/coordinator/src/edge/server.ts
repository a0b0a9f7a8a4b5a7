/**
 * The coordinator's edge: one port with WebSocket (/control) and HTTP (/healthz, /metrics, /status, /state/K), the ledger,
 * the checkpoints and the clocks. It hands what happens to the decisions and carries the effects out, in order.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { WebSocketServer, type RawData, type WebSocket } from 'ws';
import {
  CONTROL_PATH,
  MAX_CONTROL_BYTES,
  MessageError,
  RequestGate,
  parseWorkerMessage,
  sendMessage,
  timeoutsFrom,
  unpackMessage,
  type WorkerMessage,
} from '@lockstep/comm';
import {
  type CheckpointStore,
  type JsonValue,
  type Ledger,
  type ParameterTable,
  type Trace,
  type TrainingState,
  encodeState,
} from '@lockstep/run';
import { EffectQueue, failureLine, failureOf } from '@lockstep/base';
import type { Clocks, WallMs } from '../decide/clocks.js';
import { Decisions, entryOf } from '../decide/decisions.js';
import { Evaluator, summaryOf, type EvaluationSummary, type EvaluatorSetting } from './evaluator.js';
import type { HeldPort } from './held-port.js';
import { nameTaken, type NameTaken } from '../decide/membership.js';
import { Metrics } from './metrics.js';
import { afterCommit, afterOpening, etaSeconds, imagesPerSecond, noProgress, type Progress } from './progress.js';
import { publishState, type PublishTask } from './publisher.js';
import {
  type Durable,
  type Effect,
  type Happening,
  type Note,
  type Outcome,
  type Recovered,
  type Settings,
  type State,
} from '../decide/state.js';

/** What was sent must leave the sockets before the process ends, but a dead peer must not hold it. Milliseconds. */
const CLOSE_GRACE_MS = 1_000;

/** Phases as a timeline calls them: a step's two, from ready workers to its commit. */
const PHASE_NAMES: Readonly<Partial<Record<State['phase']['kind'], string>>> = {
  computing: 'gradients',
  reducing: 'reduce to commit',
};

/** All that the edge is given; nothing in it reads the environment. */
export interface ServerOptions {
  readonly host: string;
  /** What it is called besides `host`: see serverNames of libs/comm. */
  readonly names: readonly string[];
  readonly settings: Settings;
  readonly recovered: Recovered;
  /** Digest of state 0, which the seed decides, or the state of another run that this one starts from. */
  readonly startDigest: string;
  /** State 0 itself, for workers that must begin with it. */
  readonly startState: () => Promise<TrainingState>;
  readonly globalBatch: number;
  readonly keepCheckpoints: number;
  /** Null: checkpoints are not evaluated. */
  readonly evaluator: EvaluatorSetting | null;
  readonly table: ParameterTable;
  readonly model: JsonValue;
  readonly ledger: Ledger;
  readonly store: CheckpointStore;
  /** States kept for replay. */
  readonly incidents: CheckpointStore;
  readonly clocks: Clocks;
  readonly report: (report: Report) => void;
  readonly trace: Trace;
}

/** A note with the run's progress at that moment, for logs and progress bars. */
export interface Report {
  /** For people: when that was. */
  readonly at: WallMs;
  readonly note: Note;
  readonly status: Status;
}

export interface Status {
  readonly run: string;
  readonly phase: string;
  readonly step: number;
  readonly steps: number;
  readonly generation: number;
  readonly workers: readonly {
    readonly id: string;
    readonly host: string;
    readonly inRing: boolean;
    readonly step: number | null;
    readonly millisecondsPerMicrobatch: number | null;
    /** Microbatches that it was given in this step. */
    readonly share: number;
    /** Processor time / wall time. */
    readonly cpuShare: number | null;
    readonly straggler: string | null;
  }[];
  readonly loss: number | null;
  readonly imagesPerSecond: number;
  readonly etaSeconds: number | null;
  readonly checkpoint: number | null;
  readonly reproducible: boolean;
  /** The last evaluation of a checkpoint by this coordinator process. */
  readonly evaluation: EvaluationSummary | null;
}

export class CoordinatorServer {
  /** Resolves when the run is over and all that it wrote is on disk. */
  readonly finished: Promise<Outcome>;
  private readonly decisions: Decisions;
  private readonly metrics = new Metrics(() => ({ state: this.state, imagesPerSecond: this.imagesPerSecond() }));
  private readonly sockets = new Map<string, WebSocket>();
  /** Instance by the name that it was refused. */
  private readonly lastTurnedAway = new Map<string, string>();
  private readonly effects = new EffectQueue<Effect>((effect) => this.perform(effect));
  private progress: Progress = noProgress;
  private loss: number | null = null;
  private evaluation: EvaluationSummary | null = null;
  private readonly evaluator: Evaluator | null;
  private readonly background = new Set<Promise<void>>();
  private publishing: Promise<void> = Promise.resolve();
  private readonly ticker: NodeJS.Timeout;
  private readonly beat: NodeJS.Timeout;
  private resolveFinished: (outcome: Outcome) => void = () => undefined;

  private constructor(
    private readonly options: ServerOptions,
    private readonly held: HeldPort,
    private readonly webSockets: WebSocketServer,
  ) {
    const { recovered, settings, clocks, startDigest, ledger } = options;
    const durable: Durable = { digestOf: (of) => (of === 0 ? startDigest : (ledger.get(of - 1)?.digest ?? null)) };
    this.decisions = new Decisions({ recovered, settings, durable, clocks });
    this.finished = new Promise((resolve) => (this.resolveFinished = resolve));
    this.evaluator =
      options.evaluator === null
        ? null
        : new Evaluator(options.evaluator, {
            onEvaluation: (evaluation) => {
              this.metrics.evaluated(evaluation);
              this.evaluation = summaryOf(evaluation);
              this.tell({ note: 'evaluated', ...this.evaluation });
            },
            onFailure: ({ code, message }) => this.tell({ note: 'evaluation-failed', code, reason: message }),
          });
    const { coordinatorTickMs, heartbeatIntervalMs } = timeoutsFrom(options.settings.heartbeatTimeoutMs);
    this.ticker = setInterval(() => this.dispatch({ type: 'tick' }), coordinatorTickMs);
    this.beat = setInterval(() => {
      for (const socket of this.sockets.values()) sendMessage(socket, { type: 'heartbeat' });
    }, heartbeatIntervalMs);
    const gate = new RequestGate(options.host, options.names);
    held.serve({
      onRequest: (request, response) => {
        if (!gate.turnsAway(request, response)) void this.answer(request, response);
      },
      onUpgrade: (request, socket, head) => {
        if (gate.turnsAwayUpgrade(request, socket)) return;
        webSockets.handleUpgrade(request, socket, head, (webSocket) => this.accept(webSocket));
      },
    });
  }

  /** Serves the run on a port that is held already. */
  static serve(port: HeldPort, options: ServerOptions): CoordinatorServer {
    const webSockets = new WebSocketServer({
      noServer: true,
      path: CONTROL_PATH,
      perMessageDeflate: false,
      maxPayload: MAX_CONTROL_BYTES,
    });
    return new CoordinatorServer(options, port, webSockets);
  }

  private get state(): State {
    return this.decisions.state;
  }

  get port(): number {
    return this.held.port;
  }

  /** Commits the step under way, publishes a checkpoint and ends. */
  stop(reason: string): void {
    this.dispatch({ type: 'stopRequested', reason });
  }

  /** Publishes a checkpoint as soon as a state is at rest, and goes on. */
  checkpoint(): void {
    this.dispatch({ type: 'checkpointRequested' });
  }

  status(): Status {
    const { state, options } = this;
    const { phase } = state;
    const work = phase.kind === 'computing' ? phase.work : phase.kind === 'reducing' ? phase.next : null;
    return {
      run: options.settings.run,
      phase: phase.kind,
      step: state.step,
      steps: options.settings.steps,
      generation: state.generation,
      workers: [...state.workers.values()].map(({ id, host, have, speed, straggler }) => ({
        id,
        host,
        inRing: phase.kind !== 'over' && state.ranks.has(id),
        step: have?.step ?? null,
        millisecondsPerMicrobatch: speed?.milliseconds ?? null,
        share: work?.queues.get(id)?.length ?? 0,
        cpuShare: speed?.cpuShare ?? null,
        straggler,
      })),
      loss: this.loss,
      imagesPerSecond: this.imagesPerSecond(),
      etaSeconds: this.etaSeconds(),
      checkpoint: state.checkpoint?.step ?? null,
      reproducible: state.reproducible,
      evaluation: this.evaluation,
    };
  }

  /** 0 while nobody does a step. */
  private imagesPerSecond(): number {
    const { clocks, globalBatch } = this.options;
    return imagesPerSecond(this.progress, clocks.monotonicNow(), globalBatch);
  }

  /** Null while that is unknown, or the run does not go on to its last step. */
  private etaSeconds(): number | null {
    const { clocks, settings } = this.options;
    const { phase, step } = this.state;
    const remaining = settings.steps - step;
    if (remaining > 0 && phase.kind === 'finishing') return null;
    return etaSeconds(this.progress, clocks.monotonicNow(), remaining);
  }

  // ---- events in -------------------------------------------------------------------------------------------------

  private dispatch(happening: Happening): void {
    const effects = this.decisions.take(happening);
    const { state } = this;
    const { kind } = state.phase;
    this.options.trace.stage(PHASE_NAMES[kind] ?? kind, { step: state.step });
    this.effects.push(effects);
  }

  private accept(socket: WebSocket): void {
    const { settings } = this.options;
    let worker: string | null = null;
    // A connection that does not introduce itself is not a worker.
    const introduction = setTimeout(() => {
      socket.close(1008, 'E_NO_HELLO');
    }, timeoutsFrom(settings.heartbeatTimeoutMs).helloMs);
    const refuse = (refusal: { code: string; message: string; retryMs?: number }): void => {
      sendMessage(socket, { type: 'refuse', ...refusal });
      socket.close(1008, refusal.code);
    };
    socket.on('message', (data) => {
      const message = parsed(data);
      if (message instanceof MessageError) {
        refuse({ code: message.code, message: message.message });
      } else if (message.type !== 'hello') {
        if (worker !== null && this.sockets.get(worker) === socket) this.dispatch({ type: 'message', worker, message });
      } else if (worker !== null) {
        const message = 'a connection has one hello; open another connection for another worker';
        refuse({ code: 'E_MESSAGE_INVALID', message });
      } else {
        clearTimeout(introduction);
        const taken = nameTaken(this.decisions.state, message, settings.heartbeatTimeoutMs);
        if (taken !== null) {
          this.turnedAway(message, taken);
          refuse(taken);
          return;
        }
        worker = message.worker;
        this.sockets.get(worker)?.terminate();
        this.sockets.set(worker, socket);
        const { instance, host, port, local = null, run } = message;
        this.dispatch({ type: 'hello', worker, instance, host, port, local, run });
      }
    });
    socket.on('error', () => {
      socket.terminate();
    });
    socket.on('close', (code, text) => {
      clearTimeout(introduction);
      if (worker === null || this.sockets.get(worker) !== socket) return;
      this.sockets.delete(worker);
      const reason = text.toString() || `its connection closed (${code})`;
      this.dispatch({ type: 'gone', worker, reason });
    });
  }

  /** Told once of each newcomer, which tries again for a while. */
  private turnedAway({ worker, instance }: { worker: string; instance: string }, { code, message }: NameTaken): void {
    if (this.lastTurnedAway.get(worker) === instance) return;
    // Of names that live workers have, so there are no more than those.
    for (const name of this.lastTurnedAway.keys()) if (!this.sockets.has(name)) this.lastTurnedAway.delete(name);
    this.lastTurnedAway.set(worker, instance);
    this.tell({ note: 'worker-refused', worker, code, reason: message });
  }

  // ---- effects out -----------------------------------------------------------------------------------------------

  private perform(effect: Effect): Promise<void> | undefined {
    if (effect.type !== 'recordGeneration' && effect.type !== 'branchLedger') {
      this.performOne(effect);
      return undefined;
    }
    // Waited for: no worker may hear of a generation that a restarted coordinator could use again.
    return this.recordFirst(effect).catch((error: unknown) => {
      this.effects.clear();
      this.ledgerFailed(this.state.step, error);
    });
  }

  private recordFirst(effect: Extract<Effect, { type: 'recordGeneration' | 'branchLedger' }>): Promise<void> {
    const { ledger, clocks } = this.options;
    return effect.type === 'recordGeneration'
      ? ledger.setGeneration(effect.generation)
      : ledger.branch(effect.step, effect.reason, clocks.wallNow());
  }

  private performOne(effect: Exclude<Effect, { type: 'recordGeneration' | 'branchLedger' }>): void {
    const { ledger, store, clocks } = this.options;
    switch (effect.type) {
      case 'send': {
        const socket = this.sockets.get(effect.worker);
        if (socket !== undefined) sendMessage(socket, effect.message);
        break;
      }
      case 'close': {
        const socket = this.sockets.get(effect.worker);
        this.sockets.delete(effect.worker);
        // A WebSocket close reason has at most 123 bytes.
        socket?.close(1008, effect.reason.slice(0, 100));
        break;
      }
      case 'recordClass':
        this.recorded(ledger.setClass(effect.numerics));
        break;
      case 'recordAdmitted':
        this.recorded(ledger.admit({ step: effect.step, worker: effect.worker, ...effect.numerics }));
        break;
      case 'appendLedger': {
        const { record } = effect;
        const written = ledger.append(entryOf(effect, clocks)).then(
          () => this.dispatch({ type: 'ledgerWritten', step: record.step }),
          (error: unknown) => this.ledgerFailed(record.step, error),
        );
        this.inBackground(written);
        break;
      }
      case 'publish': {
        const { step: published, digest } = effect;
        // One after another: the last step's checkpoint may be asked for twice, and the second time it must be found whole.
        const done = this.publishing
          .then(() => publishState(store, this.publishTask(effect, this.options.keepCheckpoints)))
          .then(
            () => this.dispatch({ type: 'published', step: published, digest }),
            (error: unknown) => this.dispatch({ type: 'publishFailed', step: published, ...failureOf(error) }),
          );
        this.publishing = done;
        this.inBackground(done);
        break;
      }
      case 'keep': {
        const kept = publishState(this.options.incidents, this.publishTask(effect, null)).then(
          () => this.dispatch({ type: 'kept', step: effect.step, failure: null }),
          (error: unknown) => this.dispatch({ type: 'kept', step: effect.step, failure: failureLine(error) }),
        );
        this.inBackground(kept);
        break;
      }
      case 'note':
        this.tell(effect.note);
        break;
      case 'exit':
        void this.shutDown(effect.outcome);
        break;
      default:
        effect satisfies never;
    }
  }

  private publishTask(
    { step: published, digest, generation, from }: Extract<Effect, { type: 'publish' | 'keep' }>,
    keep: number | null,
  ): PublishTask {
    const { settings, table, model, clocks } = this.options;
    return {
      runId: settings.run,
      table,
      model,
      step: published,
      digest,
      generation,
      from,
      createdAt: clocks.wallNow(),
      keep,
      stallMs: timeoutsFrom(settings.heartbeatTimeoutMs).transferStallMs,
    };
  }

  private recorded(task: Promise<unknown>): void {
    this.inBackground(
      task.then(
        () => undefined,
        (error: unknown) => this.ledgerFailed(this.state.step, error),
      ),
    );
  }

  private ledgerFailed(ofStep: number, error: unknown): void {
    this.dispatch({ type: 'ledgerFailed', step: ofStep, ...failureOf(error) });
  }

  private inBackground(task: Promise<void>): void {
    this.background.add(task);
    void task.finally(() => this.background.delete(task));
  }

  private tell(note: Note): void {
    const { clocks } = this.options;
    if (note.note === 'committed') {
      this.progress = afterCommit(this.progress, clocks.monotonicNow());
      this.loss = note.loss ?? this.loss;
    } else if (note.note === 'generation-opened') {
      this.progress = afterOpening(this.progress, clocks.monotonicNow());
    } else if (note.note === 'waiting' || note.note === 'over') {
      this.progress = noProgress;
    }
    this.metrics.record(note, this.progress.stepSeconds);
    this.options.report({ at: clocks.wallNow(), note, status: this.status() });
    if (note.note === 'published') this.evaluator?.published(note.step);
  }

  private async shutDown(outcome: Outcome): Promise<void> {
    clearInterval(this.ticker);
    clearInterval(this.beat);
    this.evaluator?.close();
    while (this.background.size > 0) await Promise.all(this.background);
    for (const socket of this.webSockets.clients) socket.close(1001, outcome.code);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CLOSE_GRACE_MS);
      this.webSockets.close(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    for (const socket of this.webSockets.clients) socket.terminate();
    this.held.close();
    await this.options.ledger.close();
    this.resolveFinished(outcome);
  }

  // ---- HTTP ------------------------------------------------------------------------------------------------------

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body: Reply;
    try {
      body = await this.replyTo(request.method ?? '', (request.url ?? '/').split('?')[0] ?? '/');
    } catch (error) {
      body = json(500, failureOf(error));
    }
    const bytes = body.chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    response.writeHead(body.status, { 'content-type': body.type, 'content-length': bytes });
    for (const chunk of request.method === 'HEAD' ? [] : body.chunks) response.write(chunk);
    response.end();
  }

  private async replyTo(method: string, path: string): Promise<Reply> {
    if (method !== 'GET' && method !== 'HEAD') return json(405, { code: 'E_METHOD' });
    const phase = this.state.phase.kind;
    if (path === '/healthz')
      return json(phase === 'over' ? 503 : 200, { status: phase === 'over' ? 'over' : 'ok', phase });
    if (path === '/status') return json(200, this.status());
    if (path === '/metrics') {
      const { registry } = this.metrics;
      return { status: 200, type: registry.contentType, chunks: [Buffer.from(await registry.metrics())] };
    }
    const wanted = /^\/state\/(\d{1,15})$/.exec(path)?.[1];
    if (wanted !== undefined) return this.stateReply(Number(wanted));
    return json(404, { code: 'E_NOT_FOUND', paths: ['/healthz', '/metrics', '/status', '/state/K'] });
  }

  /** State K from its checkpoint; state 0 as the run starts. */
  private async stateReply(wanted: number): Promise<Reply> {
    const { store } = this.options;
    const published = (await store.list()).includes(wanted);
    if (!published && wanted !== 0) return json(404, { code: 'E_CHECKPOINT_MISSING' });
    const state = published ? (await store.read(wanted)).state : await this.options.startState();
    return { status: 200, type: 'application/octet-stream', chunks: encodeState(state) };
  }
}

function parsed(data: RawData): WorkerMessage | MessageError {
  try {
    return parseWorkerMessage(unpackMessage(data));
  } catch (error) {
    return error instanceof MessageError ? error : new MessageError(failureOf(error).message);
  }
}

/** An HTTP answer, not yet sent. */
interface Reply {
  readonly status: number;
  readonly type: string;
  readonly chunks: readonly Uint8Array[];
}

function json(status: number, value: unknown): Reply {
  return { status, type: 'application/json', chunks: [Buffer.from(`${JSON.stringify(value)}\n`)] };
}
