/**
 * The coordinator's decisions, as a deterministic function, which consumes its state: (state, event) -> (state, effects).
 *
 * A step, seen from here:  plan -> every gradient held by someone -> reduce -> every member applied -> commit, next step.
 * Losing a member opens the next generation at the same step: what it held is planned anew, the survivors keep theirs.
 * A step that some have finished when their generation ends is committed once it is proved, and the others fetch the state
 * that came of it: the sum is exact, so there is only one. Nobody rolls back.
 */
import { type ErrorCode } from '@lockstep/base';
import type { WorkerMessage } from '@lockstep/comm';
import { measured, type Move } from './balance.js';
import { agree, reduce, sumEarly } from './commit.js';
import { gather, openGeneration } from './generation.js';
import { bye, hello, letGo, ready, trouble, watch } from './membership.js';
import type { Durable, Effect, Event, Settings, State, StepWork } from './state.js';
import { Turn, stopped } from './turn.js';
import { relieve, report, reportEarly, workOf } from './work.js';

/** At one tick so many idle workers get something to do; the rest have theirs at the next. */
const RELIEVED_AT_ONCE = 64;

type Message<T extends WorkerMessage['type']> = Extract<WorkerMessage, { type: T }>;

/** Decides. Consumes `state`: only the one that is returned may be used afterwards. Throws only on a broken invariant. */
export function decide(
  state: State,
  event: Event,
  settings: Settings,
  durable: Durable,
): { state: State; effects: Effect[] } {
  const turn = new Turn(state, event.now, settings, durable);
  if (state.phase.kind !== 'over') {
    handle(turn, event);
    while (moveOn(turn));
    letGo(turn);
  }
  return { state: turn.state, effects: turn.effects };
}

function handle(turn: Turn, event: Event): void {
  switch (event.type) {
    case 'tick':
      watch(turn);
      relieveIdle(turn);
      break;
    case 'hello':
      hello(turn, event);
      break;
    case 'message':
      received(turn, event.worker, event.message);
      break;
    case 'gone':
      turn.lose(event.worker, event.reason);
      break;
    case 'ledgerWritten':
      turn.update({ durable: Math.max(turn.state.durable, event.step + 1) });
      break;
    case 'ledgerFailed':
      turn.fail(event.code, `step ${event.step} could not be recorded: ${event.message}`);
      break;
    case 'published':
      turn.note({ note: 'published', step: event.step, digest: event.digest });
      turn.update({ checkpoint: { step: event.step, digest: event.digest } });
      saved(turn, event.step);
      break;
    case 'publishFailed':
      publishFailed(turn, event.step, event.code, event.message);
      break;
    case 'kept':
      turn.note({ note: 'kept', step: event.step, failure: event.failure });
      if (turn.state.phase.kind === 'computing' && turn.state.step === event.step) turn.state.phase.work.kept = 'done';
      break;
    case 'stopRequested':
      stopRequested(turn, event.reason);
      break;
    case 'checkpointRequested':
      // One that is being written answers a second request, and the last one any.
      if (turn.state.saving !== turn.state.step) turn.update({ checkpointRequested: true });
      break;
    default:
      event satisfies never;
  }
}

/** Goes one stage further if what is known allows it. */
function moveOn(turn: Turn): boolean {
  const { phase } = turn.state;
  if (phase.kind === 'over') return false;
  if (turn.reopen !== null) {
    const reason = turn.reopen;
    turn.reopen = null;
    openGeneration(turn, reason);
    return true;
  }
  switch (phase.kind) {
    case 'gathering':
      gather(turn, phase.since);
      return turn.reopen !== null;
    case 'computing':
      if (turn.state.checkpointRequested && turn.holders().length > 0) {
        turn.update({ checkpointRequested: false });
        turn.save();
      }
      if (phase.work.missing === 0) return reduce(turn, phase.work);
      sumEarly(turn, phase.work);
      return false;
    case 'reducing':
      if (phase.applied.size < turn.state.ring.length) return false;
      agree(turn, phase);
      return true;
    case 'finishing':
      if (turn.state.checkpoint?.step !== turn.state.step || turn.state.durable < turn.state.step) return false;
      if (phase.outcome.kind === 'stopped') turn.endStopped(phase.outcome.reason);
      else turn.end(phase.outcome);
      return false;
    default:
      return phase satisfies never;
  }
}

function received(turn: Turn, worker: string, message: Exclude<WorkerMessage, { type: 'hello' }>): void {
  if (turn.worker(worker) === undefined) return;
  turn.setWorker(worker, { lastSeen: turn.now });
  switch (message.type) {
    case 'heartbeat':
      return;
    case 'ready':
      return ready(turn, worker, message);
    case 'bye':
      return bye(turn, worker, message);
    case 'early':
    case 'gradient':
    case 'loaded':
    case 'applied':
    case 'broken':
    case 'unable':
      if (message.generation !== turn.state.generation || !turn.inRing(worker)) return drop(turn, worker, message);
      if (message.type === 'early') return early(turn, worker, message);
      if (message.type === 'gradient') return gradient(turn, worker, message);
      if (message.type === 'loaded') return loaded(turn, worker, message);
      if (message.type === 'applied') return applied(turn, worker, message);
      return trouble(turn, worker, message);
    default:
      message satisfies never;
  }
}

function drop(turn: Turn, worker: string, { type, generation }: { type: string; generation: number }): void {
  turn.note({ note: 'dropped', worker, type, generation });
}

/** The work that a report is about: this step's, or the next one's from a worker that is ahead; null if it is no work of now. */
function workOfReport(turn: Turn, message: Message<'early' | 'gradient'>): StepWork | null {
  const { phase, step: current } = turn.state;
  if (message.microbatch >= turn.settings.microbatches) return null;
  if (phase.kind === 'computing' && message.step === current) return phase.work;
  return phase.kind === 'reducing' && message.step === current + 1 ? phase.next : null;
}

function early(turn: Turn, worker: string, message: Message<'early'>): void {
  const work = workOfReport(turn, message);
  if (work === null) return drop(turn, worker, message);
  reportEarly(work, message.microbatch, { worker, exponents: message.exponents });
}

function gradient(turn: Turn, worker: string, message: Message<'gradient'>): void {
  const { step: current } = turn.state;
  const work = workOfReport(turn, message);
  const { microbatch, loss, figures = null, exponents, samples, digest } = message;
  if (work === null) return drop(turn, worker, message);
  const ahead = message.step > current;
  if (!ahead) turn.setHave(worker, current, turn.state.digest);
  // A gradient that was kept over a change of generation says nothing of how quick its worker is now.
  const speed = turn.worker(worker)?.speed ?? null;
  if (!work.pinned.has(microbatch))
    turn.setWorker(worker, { speed: measured(speed, message.milliseconds, message.cpuMilliseconds) });
  const jury = work.audited.has(microbatch) ? turn.peers(worker) : [];
  const outcome = report(work, microbatch, { worker, loss, figures, exponents, samples, digest }, jury, turn.now);
  if (outcome.tie) {
    const answers = (work.audited.get(microbatch) ?? []).map(
      (each) => `${each.digest.slice(0, 12)} from ${each.worker}`,
    );
    turn.fail(
      'E_AUDIT_TIE',
      `microbatch ${microbatch} of step ${message.step} has different gradients and nobody is left to decide: ${answers.join(', ')}; resume with one worker more, or without one of these`,
    );
    return;
  }
  if (outcome.agreed) {
    const workers = (work.audited.get(microbatch) ?? []).map((each) => each.worker);
    turn.note({ note: 'audited', step: message.step, microbatch, workers });
  }
  for (const id of outcome.wrong) {
    turn.refuse(
      id,
      'E_WORKER_CORRUPT',
      `its gradient of microbatch ${microbatch} of step ${message.step} has other bits than the same microbatch elsewhere: its memory or processor is at fault; do not use that machine before it is tested`,
    );
  }
  if (turn.reopen !== null) return;
  for (const [id, anew] of outcome.changed) tell(turn, work, id, anew);
  if (!ahead) help(turn, work, worker);
}

/** Tells a worker what its work is now. */
function tell(turn: Turn, work: StepWork, worker: string, anew: readonly number[] = []): void {
  const { generation } = turn.state;
  turn.send(worker, { type: 'assign', generation, step: work.step, work: workOf(work, worker, anew) });
}

/** Gives a worker that is done with its own part some of another's, if that helps. */
function help(turn: Turn, work: StepWork, worker: string): Move | null {
  const move = relieve(work, worker, turn.pace(), turn.now);
  if (move === null) return null;
  const { microbatch, from, to } = move;
  turn.note({ note: 'work-moved', step: work.step, microbatch, from, to });
  tell(turn, work, to);
  if (move.instead) tell(turn, work, from);
  return move;
}

/** Time passes without a word from a slow worker: others may be better off with its work now. */
function relieveIdle(turn: Turn): void {
  const { phase, ring } = turn.state;
  if (phase.kind !== 'computing' || turn.reopen !== null) return;
  let relieved = 0;
  for (const id of ring) {
    if (relieved >= RELIEVED_AT_ONCE || phase.work.missing === 0) return;
    if (help(turn, phase.work, id) !== null) relieved += 1;
  }
}

function loaded(turn: Turn, worker: string, message: Message<'loaded'>): void {
  const { step: heldStep, source, bytes, milliseconds } = message;
  turn.note({ note: 'worker-loaded', worker, step: heldStep, source, bytes, milliseconds });
  if (turn.state.phase.kind !== 'computing' || heldStep !== turn.state.step) return;
  turn.setHave(worker, heldStep, turn.state.digest);
  turn.state.phase.work.busySince.set(worker, turn.now);
}

function applied(turn: Turn, worker: string, message: Message<'applied'>): void {
  const { phase } = turn.state;
  if (message.step !== turn.state.step) return drop(turn, worker, message);
  turn.setHave(worker, message.step + 1, message.digest, message.record);
  if (phase.kind === 'reducing') {
    const { ringMilliseconds, ringBytes } = message;
    turn.update({ lastRing: { ringMilliseconds, ringBytes } });
    phase.applied.set(worker, message.digest);
    phase.next?.busySince.set(worker, turn.now);
  } else if (phase.kind === 'computing') {
    // It finished the step in an earlier generation, before it heard that the others could not.
    turn.reopen = `${worker} had finished step ${message.step}`;
  }
}

/** The first reason stands: a supervisor tells everyone, and each tells the coordinator. */
function stopRequested(turn: Turn, reason: string): void {
  if (turn.state.stopRequested !== null) return;
  turn.update({ stopRequested: reason });
  if (turn.state.phase.kind === 'computing') turn.finish(stopped(reason));
}

/** A state is published, or could not be: nobody waits for it any more. */
function saved(turn: Turn, of: number): void {
  if (turn.state.saving === of) turn.update({ saving: null });
}

function publishFailed(turn: Turn, failedStep: number, code: ErrorCode, reason: string): void {
  turn.note({ note: 'publish-failed', step: failedStep, code, reason });
  const { phase } = turn.state;
  if (turn.state.saving === failedStep) {
    saved(turn, failedStep);
    // Waiting longer would help nobody.
    for (const view of [...turn.state.workers.values()])
      if (view.leaving && !turn.inRing(view.id)) turn.release(view.id, 'its state could not be taken');
  }
  if (phase.kind !== 'finishing' || failedStep !== turn.state.step) return;
  if (phase.outcome.kind === 'stopped') return turn.endStopped(phase.outcome.reason, { code, reason });
  if (phase.outcome.kind === 'failed') return turn.end(phase.outcome);
  if (code === 'E_CHECKPOINT_SOURCE') {
    // Whoever held the last state is gone. The steps since the checkpoint are in the ledger: they can be done again.
    turn.setRing([]);
    turn.setPhase({ kind: 'gathering', since: turn.now });
    return;
  }
  turn.fail(code, `step ${failedStep} is in the ledger, but its checkpoint could not be published: ${reason}`);
}
