/** Who takes part: workers that come, prove their numerics class, fall silent, fail or leave. */
import { type ErrorCode } from '@lockstep/base';
import {
  MAX_WORKERS,
  engineDifferences,
  heartbeatInterval,
  timeoutsFrom,
  type EngineDescription,
  type WorkerMessage,
} from '@lockstep/comm';
import type { Event, NumericsClass, State } from './state.js';
import type { Turn } from './turn.js';

/** A neighbour named so often in a row, with no step committed between, is evicted. */
const BLAME_LIMIT = 3;
/** A worker that failed so often in a row to load the state is evicted. */
const UNABLE_LIMIT = 3;
/** A worker that others wait for after their own part is done is given so many heartbeat timeouts, ... */
const STALL_TIMEOUTS = 2;
/** ... or the time of so many of its microbatches, whichever is longer: it may be in the middle of one. */
const STALL_MICROBATCHES = 10;
/** The code of a `bye` on purpose. */
const LEFT = 'LEFT';

type Message<T extends WorkerMessage['type']> = Extract<WorkerMessage, { type: T }>;

/** A name that another worker has may be a dead one's, whose silence is noticed after one heartbeat timeout. */
const NAME_PATIENCE_TIMEOUTS = 2;

/** Why a worker may not have its name, and for how many milliseconds it may try again. */
export interface NameTaken {
  readonly code: 'E_WORKER_NAME_TAKEN';
  readonly message: string;
  readonly retryMs: number;
}

/**
 * Whether a hello may be taken in: asked before it becomes an event. Null also for a worker that dials again, whose older connection
 * is replaced. The worker that has the name now was heard from within the heartbeat timeout, else it would be cut off (watch).
 */
export function nameTaken(
  state: State,
  { worker, instance }: { readonly worker: string; readonly instance: string },
  heartbeatTimeoutMs: number,
): NameTaken | null {
  const holder = state.workers.get(worker);
  if (holder === undefined || holder.instance === instance) return null;
  return {
    code: 'E_WORKER_NAME_TAKEN',
    message: `another worker is called ${worker}, and it lives (on ${holder.host}); give this one a name of its own by --name`,
    // One that hands its state over is about to go.
    retryMs: holder.leaving ? timeoutsFrom(heartbeatTimeoutMs).handOverMs : NAME_PATIENCE_TIMEOUTS * heartbeatTimeoutMs,
  };
}

export function hello(turn: Turn, event: Extract<Event, { type: 'hello' }>): void {
  const { settings, state } = turn;
  if (state.workers.has(event.worker)) turn.lose(event.worker, 'it connected again');
  const refusal = refusalOf(turn, event);
  if (refusal !== null) {
    turn.refuse(event.worker, refusal.code, refusal.reason);
    return;
  }
  const { worker, instance, host, port, local } = event;
  state.workers.set(worker, {
    id: worker,
    instance,
    host,
    port,
    local,
    lastSeen: turn.now,
    have: null,
    record: null,
    probe: null,
    speed: null,
    straggler: null,
    blamed: 0,
    unable: 0,
    leaving: false,
  });
  turn.note({ note: 'worker-joined', worker, host });
  const { run, runSettings, heartbeatTimeoutMs } = settings;
  turn.send(worker, { type: 'welcome', run, settings: runSettings, heartbeatTimeoutMs });
}

function refusalOf(turn: Turn, event: Extract<Event, { type: 'hello' }>): { code: ErrorCode; reason: string } | null {
  const { run } = turn.settings;
  if (event.run !== null && event.run !== run)
    return { code: 'E_OTHER_RUN', reason: `the worker is in run ${event.run}, this is run ${run}` };
  if (turn.state.workers.size >= MAX_WORKERS)
    return { code: 'E_TOO_MANY_WORKERS', reason: `a run has at most ${MAX_WORKERS} workers` };
  return null;
}

export function ready(turn: Turn, worker: string, message: Message<'ready'>): void {
  const offered: NumericsClass = { probe: message.probe, engine: message.engine };
  const { numerics } = turn.state;
  if (numerics === null) {
    turn.update({ numerics: offered });
    turn.effects.push({ type: 'recordClass', numerics: offered });
  } else if (numerics.probe !== offered.probe) {
    const differs = differences(numerics.engine, offered.engine);
    if (turn.settings.numerics === 'strict') {
      turn.refuse(
        worker,
        'E_NUMERICS_CLASS',
        `its engine gives other bits than this run's (probe ${offered.probe.slice(0, 12)}, not ${numerics.probe.slice(0, 12)}): ${differs}; ` +
          'make it equal, or let it in by --numerics relaxed and give up reproducible bits',
      );
      return;
    }
    turn.note({ note: 'worker-admitted', worker, differs });
    turn.effects.push({ type: 'recordAdmitted', step: turn.state.step, worker, numerics: offered });
    turn.update({ reproducible: false });
  }
  // Only a ledger restored from an older copy knows fewer generations than its workers; they would ignore its plans.
  turn.update({ generation: Math.max(turn.state.generation, message.generation) });
  turn.setWorker(worker, { have: message.have, record: message.record, probe: message.probe });
  if (turn.worker(worker)?.leaving !== true) turn.note({ note: 'worker-ready', worker, step: message.have.step });
}

/**
 * A worker goes, on purpose, and waits to be let go. It gets no more work: but where the ring runs already it goes on to the commit,
 * which is sooner there than a new ring.
 */
export function bye(turn: Turn, worker: string, { code, reason }: Message<'bye'>): void {
  const text = `it left: ${code}: ${reason}`;
  const view = turn.worker(worker);
  // Damaged memory is nobody's source.
  if (code !== LEFT || view === undefined) return turn.lose(worker, text);
  if (view.leaving) return;
  turn.setWorker(worker, { leaving: true });
  turn.note({ note: 'worker-lost', worker, reason: text });
  if (turn.inRing(worker) && turn.state.phase.kind === 'computing') turn.reopen ??= `lost ${worker}: ${text}`;
}

/**
 * Lets those go that said `bye`: at once where another worker or a checkpoint has the committed state; else that is published from
 * them first.
 */
export function letGo(turn: Turn): void {
  const { phase } = turn.state;
  // At the end all are told to go.
  if (phase.kind === 'finishing' || phase.kind === 'over') return;
  for (const view of [...turn.state.workers.values()]) {
    if (!view.leaving || (phase.kind === 'reducing' && turn.inRing(view.id))) continue;
    const needed = turn.isHeldBy(view) && turn.holders().length === 0 && !turn.isKept();
    if (needed) turn.save();
    else turn.release(view.id, 'others have the state');
  }
}

/** What two engines say of themselves differently, for a person, by name. */
function differences(run: EngineDescription, worker: EngineDescription): string {
  const found = engineDifferences(worker, run).sort((a, b) => (a.name < b.name ? -1 : 1));
  if (found.length === 0) return 'both engines describe themselves alike, so its processor or memory may be at fault';
  return found.map(({ name, first, second }) => `${name} is ${first}, not ${second}`).join('; ');
}

/** A worker reports a broken ring, or that it cannot load the state. */
export function trouble(turn: Turn, worker: string, message: Message<'broken'> | Message<'unable'>): void {
  const about = message.type === 'broken' ? message.peer : worker;
  turn.note({ note: 'ring-broken', worker, peer: about, reason: `${message.code}: ${message.message}` });
  const view = about === null ? undefined : turn.worker(about);
  if (view !== undefined) {
    turn.setWorker(view.id, message.type === 'broken' ? { blamed: view.blamed + 1 } : { unable: view.unable + 1 });
  }
  // A lost peer's own connection is about to close; the pause lets that arrive, so that one generation opens and not two.
  if (turn.state.brokenSince === null) turn.update({ brokenSince: turn.now });
}

/** Looks at the clock: who is silent, who stalls, whether a broken ring is to be replaced. */
export function watch(turn: Turn): void {
  const { heartbeatTimeoutMs } = turn.settings;
  const interval = heartbeatInterval(heartbeatTimeoutMs);
  // When this process itself stood still, nobody was heard meanwhile: the gap is not the workers' silence.
  const gap = Math.max(0, turn.now - turn.state.lastTick - interval);
  turn.update({ lastTick: turn.now });
  for (const view of [...turn.state.workers.values()]) {
    const lastSeen = Math.min(turn.now, view.lastSeen + gap);
    if (gap > 0) turn.setWorker(view.id, { lastSeen });
    const silent = turn.now - lastSeen;
    if (silent > heartbeatTimeoutMs) turn.evict(view.id, 'E_HEARTBEAT_MISSED', `silent for ${silent.toFixed(0)} ms`);
  }
  evictStalled(turn);
  const { brokenSince } = turn.state;
  if (brokenSince === null || turn.now - brokenSince < interval) return;
  for (const view of [...turn.state.workers.values()]) {
    if (view.blamed >= BLAME_LIMIT) turn.evict(view.id, 'E_RING_PEER_LOST', 'its neighbours cannot reach it');
    else if (view.unable >= UNABLE_LIMIT) turn.evict(view.id, 'E_STATE_UNAVAILABLE', 'it cannot load the state');
  }
  turn.reopen ??= 'the ring broke';
}

/** A worker that answers heartbeats, but neither finishes the step that others have finished nor says why. */
function evictStalled(turn: Turn): void {
  const { phase, ring } = turn.state;
  if (phase.kind !== 'reducing' || phase.applied.size === 0) return;
  const slowest = Math.max(0, ...ring.map((id) => turn.worker(id)?.speed?.milliseconds ?? 0));
  const patience = Math.max(STALL_TIMEOUTS * turn.settings.heartbeatTimeoutMs, STALL_MICROBATCHES * slowest);
  if (turn.now - phase.since <= patience) return;
  for (const id of ring) {
    if (!phase.applied.has(id))
      turn.evict(
        id,
        'E_WORKER_STALLED',
        `it has not applied step ${phase.record.step}, which others have, for ${patience.toFixed(0)} ms`,
      );
  }
}
