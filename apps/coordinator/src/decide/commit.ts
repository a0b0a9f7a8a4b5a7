/** From gradients to a committed step: the barrier, the comparison of states, the ledger. */
import { NON_FINITE } from '@lockstep/exact';
import { type CommitRecord } from '@lockstep/comm';
import { stragglers, unmeasured } from './balance.js';
import { figuresOf, mean } from './figures.js';
import type { Covered, CoveredEarly, Phase, StepWork } from './state.js';
import { complete, stopped, type Turn } from './turn.js';
import { contradicting, judgeStates, withVotes } from './votes.js';
import { workOf } from './work.js';

/** So many workers keep a step's record, which outlives the coordinator with them; the others only have the state. */
const RECORD_KEEPERS = 3;
/** So many skipped steps in a row are no accident any more. */
const SKIP_LIMIT = 25;

/**
 * The early bucket of every gradient is there, while some gradients are not: the ring can sum it meanwhile. Not where the step may
 * still be judged otherwise: audited gradients are compared whole.
 */
export function sumEarly(turn: Turn, work: StepWork): void {
  const { generation, step, ring, durable } = turn.state;
  if (work.summed !== null || work.missingEarly > 0 || work.audited.size > 0 || durable < step) return;
  const [first] = work.early.values();
  if (first === undefined) return;
  const tensors = first.exponents.length;
  // The early bucket's tensors are the last of the table.
  const held = work.covered.map((whole, index): CoveredEarly => {
    const early = work.early.get(index);
    if (early !== undefined) return early;
    return { worker: whole?.worker ?? '', exponents: whole?.exponents.slice(-tensors) ?? [] };
  });
  const exponents = largest(held);
  if (exponents.includes(NON_FINITE)) return;
  work.summed = exponents;
  const holders = held.map(({ worker }) => worker);
  const shares = sharesOf(ring, holders);
  for (const id of ring)
    turn.send(id, { type: 'sum', generation, step, contribute: shares.get(id) ?? [], exponents: [...exponents] });
}

/** All gradients are there. Returns false if it must wait for something else. */
export function reduce(turn: Turn, work: StepWork): boolean {
  const { state, settings } = turn;
  // At most one step may be ahead of the disk, so that a coordinator that dies loses none.
  if (state.durable < state.step) return false;
  // Whoever publishes the state must find it where it is.
  if (state.saving === state.step) return false;
  const covered = work.covered.filter((gradient) => gradient !== null);
  const bad = covered.flatMap((gradient, index) => (isFiniteGradient(gradient) ? [] : [index]));
  if (bad.length > 0 && !dealtWith(turn, work, covered, bad)) return false;
  const { step, generation, ring } = state;
  const skip = bad.length > 0;
  const record: CommitRecord = {
    step,
    generation,
    plan: covered.map((gradient) => gradient.worker),
    losses: covered.map((gradient) => gradient.loss),
    samples: covered.map((gradient) => gradient.samples),
    skipped: skip,
  };
  const goesOn = step + 1 < settings.steps && state.stopRequested === null && turn.joiners().length === 0;
  const next = goesOn ? turn.giveOut(step + 1, ring, () => null) : null;
  const figures = figuresOf(settings.figures, covered);
  turn.setPhase({ kind: 'reducing', since: turn.now, record, figures, applied: new Map(), next });
  turn.update({ skips: skip ? state.skips + 1 : 0 });
  const shares = sharesOf(ring, skip ? [] : record.plan);
  const exponents = skip ? [] : withSummed(largest(covered), work.summed);
  ring.forEach((id, rank) => {
    turn.send(id, {
      type: 'reduce',
      generation,
      step,
      contribute: shares.get(id) ?? [],
      exponents,
      skip,
      record: rank < RECORD_KEEPERS ? record : null,
      next: next === null ? null : workOf(next, id),
    });
  });
  // Last: everybody waits for the messages, nobody for the log.
  turn.note({ note: 'reduce-started', step, generation });
  return true;
}

/** The microbatches that each of the ring adds; `holders`: who holds which. */
function sharesOf(ring: readonly string[], holders: readonly string[]): ReadonlyMap<string, number[]> {
  const shares = new Map<string, number[]>(ring.map((id) => [id, []]));
  holders.forEach((id, index) => shares.get(id)?.push(index));
  return shares;
}

function isFiniteGradient(gradient: Covered): boolean {
  return gradient.loss !== null && !gradient.exponents.includes(NON_FINITE);
}

/** The exponents of all tensors, with those that the early bucket was summed with. */
function withSummed(exponents: readonly number[], summed: readonly number[] | null): number[] {
  return summed === null ? [...exponents] : [...exponents.slice(0, exponents.length - summed.length), ...summed];
}

/** The element-wise maximum of all exponents: does not depend on who computed what. */
function largest(covered: readonly CoveredEarly[]): number[] {
  const exponents = [...(covered[0]?.exponents ?? [])];
  for (const gradient of covered)
    gradient.exponents.forEach((exponent, tensor) => {
      exponents[tensor] = Math.max(exponents[tensor] ?? exponent, exponent);
    });
  return exponents;
}

/** A gradient is not finite: first the state is kept for replay, then the run stops or goes on. Returns true to go on. */
function dealtWith(turn: Turn, work: StepWork, covered: readonly Covered[], bad: readonly number[]): boolean {
  const { step, digest, generation } = turn.state;
  if (work.kept === 'no') {
    work.kept = 'asked';
    const workers = bad.map((index) => covered[index]?.worker ?? '?');
    turn.note({ note: 'non-finite', step, microbatches: bad, workers });
    turn.effects.push({ type: 'keep', step, digest, generation, from: turn.sources() });
  }
  if (work.kept === 'asked') return false;
  const tooMany = turn.state.skips >= SKIP_LIMIT;
  if (turn.settings.nonFinite === 'skip' && !tooMany) return true;
  const count = tooMany ? `${SKIP_LIMIT} steps in a row were skipped, and again ` : '';
  turn.finish({
    kind: 'failed',
    code: 'E_NON_FINITE_GRADIENT',
    reason: `${count}microbatch ${bad.join(', ')} of step ${step} gave a gradient or loss that is not finite; look at it by: lockstep replay DIR --step ${step} --microbatch ${bad[0] ?? 0}; lower the learning rate, or go on with --non-finite skip`,
  });
  return false;
}

/** Everybody applied the step: they must all have come to the same bits. */
export function agree(turn: Turn, phase: Extract<Phase, { kind: 'reducing' }>): void {
  const votes = new Map(phase.applied);
  // Those who finished it in an earlier generation, and waited for this proof.
  for (const view of turn.readyWorkers())
    if (turn.claims(view) && !turn.inRing(view.id)) votes.set(view.id, view.have?.digest ?? '');
  const expected = turn.state.reproducible ? turn.digestOf(turn.state.step + 1) : null;
  const verdict = judgeStates(votes, expected);
  if (verdict.kind === 'tie') {
    contest(turn, votes, verdict.sides);
    return;
  }
  const { digest, wrong } = verdict;
  if (wrong.length === votes.size) {
    const given = phase.applied.get(turn.state.ring[0] ?? '') ?? '';
    turn.fail(
      'E_NOT_REPRODUCED',
      `step ${phase.record.step}, done again, gave state ${given.slice(0, 12)}; the ledger says ${digest.slice(0, 12)}: a worker's memory or engine is at fault, or the engine was changed`,
    );
    return;
  }
  commit(turn, phase.record, digest);
  if (turn.state.phase.kind === 'over') return;
  refuseDiverged(turn, wrong, phase.record.step, digest, votes);
  const after = turn.state.phase;
  if (after.kind !== 'reducing') return;
  const leaver = turn.state.ring.find((id) => turn.worker(id)?.leaving === true);
  if (phase.next !== null && wrong.length === 0 && leaver === undefined && turn.joiners().length === 0) {
    phase.next.since = turn.now;
    turn.setPhase({ kind: 'computing', work: phase.next });
  } else {
    const joins = leaver === undefined ? 'a worker joins' : `${leaver} left`;
    turn.reopen = wrong.length > 0 ? 'a worker diverged' : joins;
  }
}

function refuseDiverged(
  turn: Turn,
  wrong: readonly string[],
  step: number,
  digest: string,
  votes: ReadonlyMap<string, string>,
): void {
  for (const id of wrong) {
    turn.refuse(
      id,
      'E_DIVERGED',
      `after step ${step} its state is ${(votes.get(id) ?? '').slice(0, 12)}, not ${digest.slice(0, 12)}: its memory or engine is at fault`,
    );
  }
}

/**
 * As many workers came to one state as to another. The step is done once more, from the newest state that is proved: it is a
 * pure function, so a worker that gives another state than the first time is at fault. If all stand by theirs, a person must look.
 */
export function contest(turn: Turn, votes: ReadonlyMap<string, string>, sides: string): void {
  const { step, contested, reproducible } = turn.state;
  const before = contested?.step === step ? contested.attempts : null;
  const attempts = withVotes(before ?? new Map(), votes);
  const faulty = contradicting(attempts);
  if (before !== null && (faulty.length === 0 || !reproducible)) {
    turn.fail(
      'E_DIVERGED',
      `step ${step} gave different states twice over and no majority: ${sides}; resume with one worker more, or without one of these`,
    );
    return;
  }
  for (const id of faulty) {
    attempts.delete(id);
    turn.refuse(
      id,
      'E_DIVERGED',
      `step ${step}, done twice, gave it two different states: its memory or engine is at fault`,
    );
  }
  turn.note({ note: 'contested', step, sides });
  turn.update({ contested: { step, attempts } });
  // Nobody's state is proved, so nobody is a holder: as many steps are done again as lie behind the newest proved state.
  for (const id of votes.keys()) if (turn.worker(id)?.have?.step === step + 1) turn.setWorker(id, { have: UNPROVED });
  turn.setRing([]);
  turn.update({ brokenSince: null });
  turn.setPhase({ kind: 'gathering', since: -Infinity });
  turn.reopen = null;
}

/** A state that no plan starts from. */
const UNPROVED = { step: 0, digest: '' };

const NO_RING = { ringMilliseconds: 0, ringBytes: 0 };

/** Step `record.step` is done, for good. Leaves the phase as it is unless the run ends. */
export function commit(turn: Turn, record: CommitRecord, digest: string): void {
  const { settings } = turn;
  const done = turn.state.step;
  if (record.step !== done) throw new Error(`commit of step ${record.step} while doing step ${done}`);
  const redone = done < turn.state.known;
  const committed = done + 1;
  const { phase, contested } = turn.state;
  // Only of an attempt that was reduced here it is known what its reduce came to.
  const reduced = phase.kind === 'reducing' && isSameAttempt(phase.record, record) ? phase : null;
  turn.update({ step: committed, digest, contested: contested !== null && contested.step > done ? contested : null });
  if (!redone) turn.effects.push({ type: 'appendLedger', record, digest });
  review(turn, phase.kind === 'reducing' ? phase.record.plan : []);
  turn.note({
    note: 'committed',
    step: done,
    generation: turn.state.generation,
    loss: mean(record.losses),
    figures: reduced?.figures ?? {},
    digest,
    redone,
    skipped: record.skipped,
    ...(reduced === null ? NO_RING : turn.state.lastRing),
  });
  if (committed >= settings.steps) turn.finish(complete(settings.steps));
  else if (turn.state.stopRequested !== null) turn.finish(stopped(turn.state.stopRequested));
  else if (committed % settings.checkpointEvery === 0) turn.publish();
}

/** A record that a worker brings may be of another step or attempt than the one that was being reduced here. */
function isSameAttempt(one: CommitRecord, other: CommitRecord): boolean {
  return one.step === other.step && one.generation === other.generation;
}

/** After a step: old blame is forgotten, speeds are looked at, stragglers named. */
function review(turn: Turn, plan: readonly string[]): void {
  const { ring } = turn.state;
  const worked = new Set(plan);
  const wasOne = (id: string): boolean => (turn.worker(id)?.straggler ?? null) !== null;
  const reasons = stragglers(ring, (id) => turn.worker(id)?.speed ?? null, wasOne);
  for (const view of [...turn.state.workers.values()]) {
    const { id } = view;
    const straggler = reasons.get(id) ?? null;
    if (straggler !== null && view.straggler === null) turn.note({ note: 'straggler', worker: id, reason: straggler });
    if (straggler === null && view.straggler !== null) turn.note({ note: 'straggler-over', worker: id });
    const rested = plan.length > 0 && turn.inRing(id) && !worked.has(id);
    turn.setWorker(id, { blamed: 0, unable: 0, straggler, speed: rested ? unmeasured(view.speed) : view.speed });
  }
}
