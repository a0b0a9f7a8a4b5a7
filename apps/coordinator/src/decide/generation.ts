/**
 * Generations: which workers form the next ring, from which state they start, who computes what. Here is also what happens
 * to a worker that says it has finished a step which was never committed.
 */
import { MAX_SOURCES, stateUrl, timeoutsFrom } from '@lockstep/comm';
import { commit, contest } from './commit.js';
import type { Phase, WorkerView } from './state.js';
import { placesOf } from './topology.js';
import { complete, memberOf, stopped, type Turn } from './turn.js';
import { judgeStates } from './votes.js';
import { workOf } from './work.js';

/** Opens a generation as soon as waiting longer cannot help. */
export function gather(turn: Turn, since: number): void {
  const { state, settings } = turn;
  if (state.stopRequested !== null) return stopGathering(turn, state.stopRequested, since);
  // The last one that held the state is leaving, and hands it over.
  if (state.saving === state.step) return;
  if (state.step >= settings.steps && state.checkpoint?.step === state.step)
    return turn.finish(complete(settings.steps));
  const waited = turn.now - since;
  const ready = turn.readyWorkers();
  if (ready.length < settings.minWorkers) return;
  const onTheWay = [...state.workers.values()].filter(({ leaving }) => !leaving).length - ready.length;
  if (onTheWay > 0 && waited < timeoutsFrom(settings.heartbeatTimeoutMs).startGraceMs) return;
  const claimants = ready.filter((view) => turn.claims(view));
  const recorded = claimants.some((view) => view.record?.step === state.step);
  const held = turn.holders(ready).length > 0 || state.checkpoint?.step === state.step;
  // A finished step whose record is with a worker that is not back yet must not be done again.
  const served = recorded || (held && claimants.length === 0);
  if (!served && waited < settings.heartbeatTimeoutMs) return;
  turn.reopen = 'workers are ready';
}

/** Ends with what is there, or with what a worker brings that may be about to reconnect. */
function stopGathering(turn: Turn, asked: string, since: number): void {
  if (turn.isKept()) return turn.endStopped(asked);
  if (turn.sources().length > 0) return turn.finish(stopped(asked));
  if (turn.now - since < timeoutsFrom(turn.settings.heartbeatTimeoutMs).newestStateGraceMs) return;
  turn.endStopped(asked);
}

/** The next generation: a new ring, the same step, every missing gradient given to someone. */
export function openGeneration(turn: Turn, reason: string): void {
  settleClaims(turn);
  const { settings } = turn;
  const ended = turn.state.phase.kind === 'finishing' || turn.state.phase.kind === 'over';
  if (ended) return;
  const ready = turn.readyWorkers();
  if (ready.length < settings.minWorkers)
    return wait(turn, `${reason}; ${ready.length} of at least ${settings.minWorkers} workers are ready`);
  if (turn.holders(ready).length === 0 && turn.state.checkpoint?.step !== turn.state.step) {
    // The newest state is with nobody: a worker that has it may be about to reconnect.
    if (turn.state.phase.kind !== 'gathering')
      return wait(turn, `${reason}; no ready worker holds state ${turn.state.step}`);
    rollBack(turn, ready, reason);
  }
  if (turn.state.step >= settings.steps) return turn.finish(complete(settings.steps));
  // One worker's word for a state is not enough where another can check it: the others do the step without it.
  const provers = ready.filter((view) => !turn.claims(view));
  begin(turn, provers.length > 0 ? provers : ready, reason);
}

function wait(turn: Turn, reason: string): void {
  turn.note({ note: 'waiting', reason });
  turn.setRing([]);
  turn.update({ brokenSince: null });
  turn.setPhase({ kind: 'gathering', since: turn.now });
}

function begin(turn: Turn, members: readonly WorkerView[], reason: string): void {
  const { phase, step, digest } = turn.state;
  const ring = members.map((view) => view.id);
  const generation = turn.state.generation + 1;
  const work = turn.giveOut(step, ring, (index) => holderOf(phase, step, index));
  turn.setRing(ring);
  turn.update({ generation, brokenSince: null });
  turn.setPhase({ kind: 'computing', work });
  turn.effects.push({ type: 'recordGeneration', generation });
  turn.note({ note: 'generation-opened', generation, step, ring, reason });
  const holders = turn.holders();
  // Where all say that they have finished the step, and yet it could not be committed, it is done again.
  const lost = members.every((view) => turn.claims(view));
  const reload = lost || turn.state.contested?.step === step;
  if (lost) turn.note({ note: 'rolled-back', from: step + 1, to: step, reason: 'nobody has the record of the step' });
  const places = placesOf(members.map(memberOf), turn.settings.tiersFrom);
  members.forEach((view, rank) => {
    const place = places.get(view.id);
    if (place === undefined) throw new Error(`${view.id} has no place in generation ${generation}`);
    // Each begins with another source, so that many joiners do not all ask one.
    const shifted = [...holders.slice(rank % Math.max(1, holders.length)), ...holders].slice(0, holders.length);
    const sources = shifted.slice(0, MAX_SOURCES).map((holder) => stateUrl(holder, step));
    turn.send(view.id, {
      type: 'plan',
      generation,
      step,
      place,
      work: workOf(work, view.id),
      digest,
      reload,
      sources: sources.length > 0 ? sources : [`/state/${step}`],
    });
  });
}

/** Who holds the gradient of a microbatch of `step` as the phase tells, or null. */
function holderOf(phase: Phase, step: number, microbatch: number): string | null {
  if (phase.kind === 'reducing' && phase.record.step === step) return phase.record.plan[microbatch] ?? null;
  const work = phase.kind === 'computing' ? phase.work : phase.kind === 'reducing' ? phase.next : null;
  return work?.step === step ? (work.covered[microbatch]?.worker ?? null) : null;
}

/**
 * Workers may have finished the step in a ring that broke, or before the coordinator was restarted. Their state counts at
 * once if the ledger knows it, if two of them agree, or if nobody is left to do the step again. Else it is proved by doing so.
 */
function settleClaims(turn: Turn): void {
  const claimants = turn.readyWorkers().filter((view) => turn.claims(view));
  if (claimants.length === 0) return;
  const step = turn.state.step;
  const expected = turn.state.reproducible ? turn.digestOf(step + 1) : null;
  const votes = new Map(claimants.map((view) => [view.id, view.have?.digest ?? '']));
  const verdict = judgeStates(votes, expected);
  const canProve = turn.holders().length > 0;
  if (verdict.kind === 'tie') {
    if (!canProve) contest(turn, votes, verdict.sides);
    return;
  }
  const supporters = claimants.filter((view) => view.have?.digest === verdict.digest);
  const record = supporters.find((view) => view.record?.step === step)?.record ?? null;
  const believed = expected !== null || supporters.length > 1 || !canProve || !turn.state.reproducible;
  if (supporters.length === 0 || record === null || !believed) return;
  commit(turn, record, verdict.digest);
  for (const id of verdict.wrong)
    turn.refuse(
      id,
      'E_DIVERGED',
      `after step ${step} it held another state than the rest: its memory or engine is at fault`,
    );
}

/** Nobody has the newest state: go back to the newest one that somebody has. The ledger checks what is redone. */
export function rollBack(turn: Turn, ready: readonly WorkerView[], reason: string): void {
  const from = turn.state.step;
  let target = Math.min(turn.state.checkpoint?.step ?? 0, from);
  for (const { have } of ready) {
    if (have !== null && have.step > target && have.step <= from && turn.digestOf(have.step) === have.digest)
      target = have.step;
  }
  const digest = turn.digestOf(target);
  if (digest === null) throw new Error(`the ledger has no digest for state ${target}`);
  turn.note({ note: 'rolled-back', from, to: target, reason });
  const known = Math.max(turn.state.known, from);
  turn.update({ step: target, digest, known: turn.state.reproducible ? known : target });
  if (!turn.state.reproducible) {
    turn.effects.push({ type: 'branchLedger', step: target, reason });
    turn.update({ durable: Math.min(turn.state.durable, target) });
  }
}
