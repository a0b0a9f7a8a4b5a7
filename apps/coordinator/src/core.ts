/**
 * The coordinator's decisions, as a pure function: (state, event) -> (state, effects).
 *
 * A step, seen from here:  plan -> every gradient held by someone -> reduce -> every member applied -> commit, next step.
 * Losing a member opens the next generation at the same step: what it held is planned anew, the survivors keep theirs.
 * A member that already applied the step when its generation ended says so, and that alone commits the step: the sum is
 * exact, so there is only one state k+1, and the others fetch it. Nobody rolls back.
 */
import { NON_FINITE, heartbeatInterval, stateUrl } from '@lockstep/comm';
import type { CommitRecord, CoordinatorMessage, Member, WorkerMessage } from '@lockstep/comm';
import { assignMicrobatches, shareOf } from './plan.js';
import type { Covered, Durable, Effect, Event, Note, Outcome, Phase, Settings, State, WorkerView } from './state.js';

/** A neighbour named so often in a row, with no step committed between, is evicted. */
const BLAME_LIMIT = 3;
/** A worker that failed so often in a row to load the state is evicted. */
const UNABLE_LIMIT = 3;
/** A worker on its way is waited for so many heartbeat timeouts before the others start without it. */
const START_GRACE_TIMEOUTS = 6;

type Message<T extends WorkerMessage['type']> = Extract<WorkerMessage, { type: T }>;

/** Decides. Throws only on a broken invariant. */
export function step(
  state: State,
  event: Event,
  settings: Settings,
  durable: Durable,
): { state: State; effects: Effect[] } {
  const turn = new Turn(state, event.now, settings, durable);
  if (state.phase.kind !== 'over') turn.handle(event);
  return { state: turn.state, effects: turn.effects };
}

/** One event's turn: holds the state as it becomes, and collects effects in the order they must happen. */
class Turn {
  readonly effects: Effect[] = [];

  constructor(
    public state: State,
    private readonly now: number,
    private readonly settings: Settings,
    private readonly durable: Durable,
  ) {}

  handle(event: Event): void {
    switch (event.type) {
      case 'tick':
        this.tick();
        break;
      case 'hello':
        this.hello(event);
        break;
      case 'message':
        this.message(event.worker, event.message);
        break;
      case 'gone':
        this.lose(event.worker, event.reason);
        break;
      case 'ledgerWritten':
        this.update({ durable: Math.max(this.state.durable, event.step + 1) });
        break;
      case 'ledgerFailed':
        this.end({
          kind: 'failed',
          code: event.code,
          reason: `step ${event.step} could not be recorded: ${event.message}`,
        });
        break;
      case 'published':
        this.note({ note: 'published', step: event.step, digest: event.digest });
        this.update({ checkpoint: { step: event.step, digest: event.digest } });
        break;
      case 'publishFailed':
        this.publishFailed(event.step, event.code, event.message);
        break;
      case 'stopRequested':
        this.update({ stopRequested: event.reason });
        if (this.state.phase.kind === 'computing') this.finish(stopped(event.reason));
        else if (this.state.phase.kind === 'gathering') this.end(stopped(event.reason));
        break;
      default:
        event satisfies never;
    }
    this.settle();
  }

  // ---- what can happen -------------------------------------------------------------------------------------------

  private tick(): void {
    const interval = heartbeatInterval(this.settings.heartbeatTimeoutMs);
    // When this process itself stood still, nobody was heard meanwhile: the gap is not the workers' silence.
    const gap = Math.max(0, this.now - this.state.lastTick - 2 * interval);
    this.update({ lastTick: this.now });
    if (gap > 0) this.updateWorkers((view) => ({ ...view, lastSeen: Math.min(this.now, view.lastSeen + gap) }));
    for (const view of this.state.workers.values()) {
      const silent = this.now - view.lastSeen;
      if (silent > this.settings.heartbeatTimeoutMs)
        this.evict(view.id, 'E_HEARTBEAT_MISSED', `silent for ${silent} ms`);
    }
    const { brokenSince } = this.state;
    if (brokenSince !== null && this.now - brokenSince >= interval) {
      for (const view of this.state.workers.values()) {
        if (view.blamed >= BLAME_LIMIT) this.evict(view.id, 'E_RING_PEER_LOST', 'its neighbours cannot reach it');
        else if (view.unable >= UNABLE_LIMIT) this.evict(view.id, 'E_STATE_UNAVAILABLE', 'it cannot load the state');
      }
      if (this.state.brokenSince !== null) this.openGeneration('the ring broke');
    }
  }

  private hello(event: Extract<Event, { type: 'hello' }>): void {
    if (this.state.workers.has(event.worker)) this.lose(event.worker, 'it connected again');
    if (event.run !== null && event.run !== this.settings.run) {
      this.refuse(event.worker, 'E_OTHER_RUN', `the worker is in run ${event.run}, this is run ${this.settings.run}`);
      return;
    }
    const view: WorkerView = {
      id: event.worker,
      host: event.host,
      port: event.port,
      lastSeen: this.now,
      have: null,
      record: null,
      blamed: 0,
      unable: 0,
    };
    this.setWorker(view);
    this.note({ note: 'worker-joined', worker: view.id, host: view.host });
    this.send(view.id, {
      type: 'welcome',
      run: this.settings.run,
      settings: this.settings.runSettings,
      heartbeatTimeoutMs: this.settings.heartbeatTimeoutMs,
    });
  }

  private message(worker: string, message: Exclude<WorkerMessage, { type: 'hello' }>): void {
    const view = this.state.workers.get(worker);
    if (view === undefined) return;
    this.setWorker({ ...view, lastSeen: this.now });
    switch (message.type) {
      case 'heartbeat':
        return;
      case 'ready':
        return this.ready(worker, message);
      case 'bye':
        return this.lose(worker, `it left: ${message.reason}`);
      case 'gradient':
      case 'applied':
      case 'broken':
      case 'unable':
        if (message.generation !== this.state.generation || !this.state.ring.includes(worker)) {
          return this.drop(worker, message.type, message.generation);
        }
        if (message.type === 'gradient') return this.gradient(worker, message);
        if (message.type === 'applied') return this.applied(worker, message);
        return this.trouble(worker, message);
      default:
        message satisfies never;
    }
  }

  private ready(worker: string, message: Message<'ready'>): void {
    const { probe } = this.state;
    if (probe === null) {
      this.update({ probe: message.probe });
      this.effects.push({ type: 'recordProbe', probe: message.probe });
    } else if (probe !== message.probe) {
      this.refuse(
        worker,
        'E_NUMERICS_CLASS',
        `its engine gives other bits than this run's: probe ${message.probe.slice(0, 12)} against ${probe.slice(0, 12)} (${message.engine}); ` +
          'use the same TensorFlow version, device, thread count and processor instruction set',
      );
      return;
    }
    const view = this.state.workers.get(worker);
    if (view === undefined) return;
    // Only a ledger restored from an older copy knows fewer generations than its workers; they would ignore its plans.
    this.update({ generation: Math.max(this.state.generation, message.generation) });
    this.setWorker({ ...view, have: message.have, record: message.record });
    this.note({ note: 'worker-ready', worker, step: message.have.step });
  }

  private gradient(worker: string, message: Message<'gradient'>): void {
    const { phase } = this.state;
    const covered: Covered = { worker, loss: message.loss, exponents: message.exponents };
    if (message.microbatch >= this.settings.microbatches) return this.drop(worker, message.type, message.generation);
    if (phase.kind === 'computing' && message.step === this.state.step) {
      if (phase.covered[message.microbatch] !== null) return;
      this.setPhase({ ...phase, covered: replaced(phase.covered, message.microbatch, covered) });
      this.setHave(worker, this.state.step, this.state.digest);
    } else if (phase.kind === 'reducing' && message.step === this.state.step + 1) {
      this.setPhase({ ...phase, early: replaced(phase.early, message.microbatch, covered) });
    } else {
      this.drop(worker, message.type, message.generation);
    }
  }

  private applied(worker: string, message: Message<'applied'>): void {
    const { phase } = this.state;
    if (message.step !== this.state.step) return this.drop(worker, message.type, message.generation);
    this.setHave(worker, message.step + 1, message.digest, message.record);
    if (phase.kind === 'reducing') {
      this.setPhase({ ...phase, applied: new Map(phase.applied).set(worker, message.digest) });
    } else if (phase.kind === 'computing') {
      // It finished the step in an earlier generation, before it heard that the others could not.
      this.setPhase({ ...phase, covered: this.nothingCovered() });
      this.commit(message.record, message.digest);
      if (this.state.phase.kind === 'computing') this.openGeneration(`${worker} had finished step ${message.step}`);
    }
  }

  private trouble(worker: string, message: Message<'broken'> | Message<'unable'>): void {
    const about = message.type === 'broken' ? message.peer : worker;
    this.note({ note: 'ring-broken', worker, peer: about, reason: `${message.code}: ${message.message}` });
    const view = about === null ? undefined : this.state.workers.get(about);
    if (view !== undefined) {
      this.setWorker(
        message.type === 'broken' ? { ...view, blamed: view.blamed + 1 } : { ...view, unable: view.unable + 1 },
      );
    }
    // A lost peer's own connection is about to close; the pause lets that arrive, so that one generation opens and not two.
    if (this.state.brokenSince === null) this.update({ brokenSince: this.now });
  }

  private publishFailed(failedStep: number, code: string, reason: string): void {
    this.note({ note: 'publish-failed', step: failedStep, code, reason });
    const { phase } = this.state;
    if (phase.kind !== 'finishing' || failedStep !== this.state.step) return;
    if (phase.outcome.kind !== 'complete') return this.end(phase.outcome);
    if (code === 'E_CHECKPOINT_SOURCE') {
      // Whoever held the last state is gone. The steps since the checkpoint are in the ledger: they can be done again.
      this.update({ ring: [] });
      this.setPhase({ kind: 'gathering', since: this.now });
      return;
    }
    this.end({
      kind: 'failed',
      code,
      reason: `step ${failedStep} is in the ledger, but its checkpoint could not be published: ${reason}`,
    });
  }

  private lose(worker: string, reason: string): void {
    if (!this.state.workers.has(worker)) return;
    const workers = new Map(this.state.workers);
    workers.delete(worker);
    this.update({ workers });
    this.note({ note: 'worker-lost', worker, reason });
    const { kind } = this.state.phase;
    if (this.state.ring.includes(worker) && (kind === 'computing' || kind === 'reducing')) {
      this.openGeneration(`lost ${worker}: ${reason}`);
    }
  }

  private evict(worker: string, code: string, reason: string): void {
    this.effects.push({ type: 'close', worker, reason: `${code}: ${reason}` });
    this.lose(worker, `${code}: ${reason}`);
  }

  private refuse(worker: string, code: string, reason: string): void {
    this.note({ note: 'worker-refused', worker, code, reason });
    this.send(worker, { type: 'refuse', code, message: reason });
    this.effects.push({ type: 'close', worker, reason: `${code}: ${reason}` });
    this.lose(worker, `${code}: ${reason}`);
  }

  // ---- what follows ----------------------------------------------------------------------------------------------

  /** Moves on as far as what is known allows. */
  private settle(): void {
    const { phase } = this.state;
    switch (phase.kind) {
      case 'gathering':
        this.gather(phase.since);
        break;
      case 'computing':
        if (phase.covered.every((gradient) => gradient !== null))
          this.reduce(phase.covered.filter((gradient) => gradient !== null));
        break;
      case 'reducing':
        if (this.state.ring.every((id) => phase.applied.has(id))) this.agree(phase);
        break;
      case 'finishing':
        if (this.state.checkpoint?.step === this.state.step && this.state.durable >= this.state.step)
          this.end(phase.outcome);
        break;
      case 'over':
        break;
      default:
        phase satisfies never;
    }
  }

  /** Opens a generation as soon as waiting longer cannot help. */
  private gather(since: number): void {
    if (this.state.stopRequested !== null) {
      this.end(stopped(this.state.stopRequested));
      return;
    }
    if (this.state.step >= this.settings.steps && this.state.checkpoint?.step === this.state.step)
      return this.finish(this.complete());
    const waited = this.now - since;
    const ready = this.readyWorkers();
    if (ready.length < this.settings.minWorkers) return;
    const onTheWay = this.state.workers.size - ready.length;
    if (onTheWay > 0 && waited < START_GRACE_TIMEOUTS * this.settings.heartbeatTimeoutMs) return;
    const current = this.state.step;
    const served = ready.some((view) => (view.have?.step ?? -1) >= current) || this.state.checkpoint?.step === current;
    if (!served && waited < this.settings.heartbeatTimeoutMs) return;
    this.openGeneration('workers are ready');
  }

  /** The next generation: a new ring, the same step, every missing gradient given to someone. */
  private openGeneration(reason: string): void {
    const known = this.durable.digestOf(this.state.step + 1);
    const finished = this.readyWorkers().find(
      ({ have, record }) =>
        have?.step === this.state.step + 1 &&
        record?.step === this.state.step &&
        (known === null || known === have.digest),
    );
    if (finished?.have && finished.record) {
      if (this.state.phase.kind === 'computing') this.setPhase({ ...this.state.phase, covered: this.nothingCovered() });
      this.commit(finished.record, finished.have.digest);
      if (this.state.phase.kind === 'finishing' || this.state.phase.kind === 'over') return;
    }
    const ready = this.readyWorkers();
    if (ready.length < this.settings.minWorkers) {
      this.note({
        note: 'waiting',
        reason: `${reason}; ${ready.length} of at least ${this.settings.minWorkers} workers are ready`,
      });
      this.update({ ring: [], brokenSince: null });
      this.setPhase({ kind: 'gathering', since: this.now });
      return;
    }
    if (!this.holders(ready).length && this.state.checkpoint?.step !== this.state.step) {
      if (this.state.phase.kind !== 'gathering') {
        // The newest state is with nobody: a worker that has it may be about to reconnect.
        this.note({ note: 'waiting', reason: `${reason}; no ready worker holds state ${this.state.step}` });
        this.update({ ring: [], brokenSince: null });
        this.setPhase({ kind: 'gathering', since: this.now });
        return;
      }
      this.rollBack(ready, reason);
    }
    if (this.state.step >= this.settings.steps) return this.finish(this.complete());
    const previous = this.state.phase;
    const ring = ready.map((view) => view.id);
    const assigned = assignMicrobatches(ring, this.settings.microbatches, (index) =>
      holderOf(previous, this.state.step, index),
    );
    const generation = this.state.generation + 1;
    this.update({ generation, ring, brokenSince: null });
    this.setPhase({ kind: 'computing', assigned, covered: this.nothingCovered() });
    this.effects.push({ type: 'recordGeneration', generation });
    this.note({ note: 'generation-opened', generation, step: this.state.step, ring, reason });
    const holders = this.holders(ready);
    const sources =
      holders.length > 0 ? holders.map((view) => stateUrl(view, this.state.step)) : [`/state/${this.state.step}`];
    const members = ready.map((view): Member => ({ id: view.id, host: view.host, port: view.port }));
    for (const id of ring) {
      this.send(id, {
        type: 'plan',
        generation,
        step: this.state.step,
        ring: members,
        microbatches: shareOf(assigned, id),
        digest: this.state.digest,
        sources,
      });
    }
  }

  /** Nobody has the newest state: go back to the newest one that somebody has. The ledger checks what is redone. */
  private rollBack(ready: readonly WorkerView[], reason: string): void {
    let target = this.state.checkpoint?.step ?? 0;
    for (const { have } of ready) {
      if (
        have !== null &&
        have.step > target &&
        have.step <= this.state.step &&
        this.durable.digestOf(have.step) === have.digest
      ) {
        target = have.step;
      }
    }
    const digest = this.durable.digestOf(target);
    if (digest === null) throw new Error(`the ledger has no digest for state ${target}`);
    this.note({ note: 'rolled-back', from: this.state.step, to: target, reason });
    this.update({ step: target, digest, known: Math.max(this.state.known, this.state.step) });
  }

  private reduce(covered: readonly Covered[]): void {
    // At most one step may be ahead of the disk, so that a coordinator that dies loses none.
    if (this.state.durable < this.state.step) return;
    const bad = covered.findIndex((gradient) => gradient.loss === null || gradient.exponents.includes(NON_FINITE));
    if (bad >= 0) {
      this.finish({
        kind: 'failed',
        code: 'E_NON_FINITE_GRADIENT',
        reason: `microbatch ${bad} of step ${this.state.step} gave a gradient or loss that is not finite (worker ${covered[bad]?.worker ?? '?'}); lower the learning rate or look at the batch`,
      });
      return;
    }
    const { step: current, generation, ring } = this.state;
    const exponents = [...(covered[0]?.exponents ?? [])];
    for (const gradient of covered)
      gradient.exponents.forEach(
        (exponent, tensor) => (exponents[tensor] = Math.max(exponents[tensor] ?? exponent, exponent)),
      );
    const plan = covered.map((gradient) => gradient.worker);
    const record: CommitRecord = {
      step: current,
      generation,
      plan,
      losses: covered.map((gradient) => gradient.loss ?? 0),
    };
    const goesOn =
      current + 1 < this.settings.steps && this.state.stopRequested === null && this.joiners().length === 0;
    const next = goesOn ? assignMicrobatches(ring, this.settings.microbatches, () => null) : null;
    this.setPhase({ kind: 'reducing', record, applied: new Map(), next, early: this.nothingCovered() });
    this.note({ note: 'reduce-started', step: current, generation });
    for (const id of ring) {
      const message: CoordinatorMessage = {
        type: 'reduce',
        generation,
        step: current,
        contribute: shareOf(plan, id),
        exponents,
        record,
        next: next === null ? null : shareOf(next, id),
      };
      this.send(id, message);
    }
  }

  /** Everybody applied the step: they must all have come to the same bits. */
  private agree(phase: Extract<Phase, { kind: 'reducing' }>): void {
    const votes = new Map<string, string[]>();
    for (const id of this.state.ring) {
      const digest = phase.applied.get(id) ?? '';
      votes.set(digest, [...(votes.get(digest) ?? []), id]);
    }
    const ranked = [...votes].sort((a, b) => b[1].length - a[1].length);
    const [digest, majority] = ranked[0] ?? ['', []];
    const second = ranked[1]?.[1].length ?? 0;
    const expected = this.durable.digestOf(this.state.step + 1);
    if (second === majority.length && expected === null) {
      const sides = ranked.map(([d, ids]) => `${d.slice(0, 12)} from ${ids.join(', ')}`).join('; ');
      this.end({
        kind: 'failed',
        code: 'E_DIVERGED',
        reason: `step ${this.state.step} gave different states and no majority: ${sides}; resume from the last checkpoint`,
      });
      return;
    }
    // Where the ledger knows the answer, those who have it are right; where nobody has it, commit says so and ends the run.
    const truth = expected !== null && votes.has(expected) ? expected : digest;
    const minority = this.state.ring.filter((id) => phase.applied.get(id) !== truth);
    this.commit(phase.record, truth);
    if (this.state.phase.kind === 'over') return;
    for (const id of minority) {
      this.refuse(
        id,
        'E_DIVERGED',
        `after step ${phase.record.step} its state is ${(phase.applied.get(id) ?? '').slice(0, 12)}, not ${truth.slice(0, 12)}: its memory or engine is at fault`,
      );
    }
    const after = this.state.phase;
    if (after.kind !== 'reducing') return;
    if (phase.next !== null && minority.length === 0 && this.joiners().length === 0) {
      this.setPhase({ kind: 'computing', assigned: phase.next, covered: phase.early });
      this.settle();
    } else {
      this.openGeneration(minority.length > 0 ? 'a worker diverged' : 'a worker joins');
    }
  }

  /** Step `record.step` is done, for good. Leaves the phase as it is unless the run ends. */
  private commit(record: CommitRecord, digest: string): void {
    const done = this.state.step;
    if (record.step !== done) throw new Error(`commit of step ${record.step} while doing step ${done}`);
    const redone = done < this.state.known;
    const expected = redone ? this.durable.digestOf(done + 1) : null;
    if (expected !== null && expected !== digest) {
      this.end({
        kind: 'failed',
        code: 'E_NOT_REPRODUCED',
        reason: `step ${done}, done again, gave state ${digest.slice(0, 12)}; the ledger says ${expected.slice(0, 12)}: a worker's memory or engine is at fault, or the engine was changed`,
      });
      return;
    }
    const committed = done + 1;
    this.update({ step: committed, digest });
    this.updateWorkers((view) => ({ ...view, blamed: 0, unable: 0 }));
    if (!redone) this.effects.push({ type: 'appendLedger', record, digest, at: this.now });
    this.note({
      note: 'committed',
      step: done,
      generation: this.state.generation,
      loss: mean(record.losses),
      digest,
      redone,
    });
    if (committed >= this.settings.steps) {
      this.finish(this.complete());
    } else if (this.state.stopRequested !== null) {
      this.finish(stopped(this.state.stopRequested));
    } else if (committed % this.settings.checkpointEvery === 0) {
      this.publish();
    }
  }

  /** Publishes the state that is committed last, then ends. */
  private finish(outcome: Outcome): void {
    this.setPhase({ kind: 'finishing', outcome });
    if (this.state.checkpoint?.step === this.state.step) return;
    this.publish();
  }

  private publish(): void {
    const { step: current, digest, generation } = this.state;
    const from = this.holders(this.readyWorkers()).map((view): Member => ({
      id: view.id,
      host: view.host,
      port: view.port,
    }));
    this.effects.push({ type: 'publish', step: current, digest, generation, from });
  }

  private end(outcome: Outcome): void {
    this.setPhase({ kind: 'over', outcome });
    this.note({ note: 'over', outcome });
    for (const id of this.state.workers.keys())
      this.send(id, { type: 'stop', code: outcome.code, reason: outcome.reason });
    this.effects.push({ type: 'exit', outcome });
  }

  // ---- small words -----------------------------------------------------------------------------------------------

  private readyWorkers(): WorkerView[] {
    return [...this.state.workers.values()].filter((view) => view.have !== null);
  }

  private joiners(): WorkerView[] {
    return this.readyWorkers().filter((view) => !this.state.ring.includes(view.id));
  }

  /** Those of `views` that hold the state that the step starts from. */
  private holders(views: readonly WorkerView[]): WorkerView[] {
    return views.filter((view) => view.have?.step === this.state.step && view.have.digest === this.state.digest);
  }

  private nothingCovered(): null[] {
    return new Array<null>(this.settings.microbatches).fill(null);
  }

  private complete(): Outcome {
    return { kind: 'complete', code: 'COMPLETE', reason: `all ${this.settings.steps} steps are done` };
  }

  private drop(worker: string, type: string, generation: number): void {
    this.note({ note: 'dropped', worker, type, generation });
  }

  private setHave(worker: string, heldStep: number, digest: string, record?: CommitRecord): void {
    const view = this.state.workers.get(worker);
    if (view !== undefined)
      this.setWorker({ ...view, have: { step: heldStep, digest }, record: record ?? view.record });
  }

  private setWorker(view: WorkerView): void {
    this.update({ workers: new Map(this.state.workers).set(view.id, view) });
  }

  private updateWorkers(change: (view: WorkerView) => WorkerView): void {
    this.update({ workers: new Map([...this.state.workers].map(([id, view]) => [id, change(view)])) });
  }

  private setPhase(phase: Phase): void {
    this.update({ phase });
  }

  private update(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
  }

  private note(note: Note): void {
    this.effects.push({ type: 'note', note });
  }

  private send(worker: string, message: CoordinatorMessage): void {
    this.effects.push({ type: 'send', worker, message });
  }
}

/** Who holds the gradient of a microbatch of `step` as the phase tells, or null. */
function holderOf(phase: Phase, ofStep: number, microbatch: number): string | null {
  if (phase.kind === 'computing') return phase.covered[microbatch]?.worker ?? null;
  if (phase.kind !== 'reducing') return null;
  // After its own step's commit a reducing phase still knows the early gradients of the next.
  return phase.record.step === ofStep
    ? (phase.record.plan[microbatch] ?? null)
    : (phase.early[microbatch]?.worker ?? null);
}

function stopped(reason: string): Outcome {
  return { kind: 'stopped', code: 'STOPPED', reason };
}

/** In index order, so that the same losses give the same bits. */
function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

function replaced<T>(list: readonly T[], index: number, value: T): T[] {
  const copy = [...list];
  copy[index] = value;
  return copy;
}
