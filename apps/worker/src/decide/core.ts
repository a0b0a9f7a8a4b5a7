/**
 * The worker's decisions, as a deterministic function, which consumes its state: (state, event) -> (state, effects).
 *
 * A step, seen from here (`advance` below):
 *   plan -> gradients of my microbatches -> told the exponents -> integer sum of mine -> ring all-reduce -> Adam, EMA,
 *   digest -> report, while the next step's gradients are already being computed.
 * A gradient comes in two buckets. The early one may be summed (`sum`) while the last gradients' late one is being computed; then
 * only the late one is left to be summed (`reduce`).
 * A gradient depends only on (state, seed, step, microbatch), so it is kept over generations until its step is applied.
 *
 * The compute thread (`busy`) makes gradients and applies steps. The I/O thread's local sum (`summing`), beside it, folds and checks, so that
 * a gradient that another worker delivered first holds nobody up, though it cannot be stopped.
 */
import { EXIT, exitStatusOf, type ErrorCode } from '@lockstep/base';
import {
  type CoordinatorMessage,
  type HeldState,
  MAX_TEXT,
  PROTOCOL_VERSION,
  type WorkerMessage,
} from '@lockstep/comm';
import type { StoredGradient } from '../compute/local-sum.js';
import { following, isBeginning, wantedAfter, wantedNow } from './wanted.js';
import type { EarlySum, Effect, Event, HeldGradient, Plan, Reduction, State, SumName, SumStage } from './state.js';

/** Of a step whose gradients did not go through the ring. */
const NOTHING_SENT = { milliseconds: 0, bytes: 0 };

type Told<T extends CoordinatorMessage['type']> = Extract<CoordinatorMessage, { type: T }>;

/** As a message has it. */
function orNull(figure: number): number | null {
  return Number.isFinite(figure) ? figure : null;
}

/** Decides. Throws only on a broken invariant. */
export function decide(state: State, event: Event): { state: State; effects: Effect[] } {
  const turn = new Turn(state);
  turn.handle(event);
  turn.advance();
  return { state: turn.state, effects: turn.effects };
}

class Turn {
  readonly effects: Effect[] = [];
  private isOwn = false;

  constructor(public state: State) {}

  handle(event: Event): void {
    switch (event.type) {
      case 'connected':
        this.update({ connected: true });
        this.send({
          type: 'hello',
          protocol: PROTOCOL_VERSION,
          worker: this.state.id,
          instance: this.state.instance,
          host: this.state.host,
          port: this.state.port,
          ...(this.state.local !== null && { local: this.state.local }),
          run: this.state.run,
        });
        break;
      case 'disconnected':
        this.update({ connected: false });
        if (this.state.handingOver) this.exit(0, 'LEFT', 'the coordinator let it go');
        else if (this.state.orphaned) this.exit(0, 'LEFT', 'its parent process and its coordinator are gone');
        break;
      case 'message':
        this.told(event.message, event.now);
        break;
      case 'initialised':
        this.update({ busy: null, have: event.have, probe: event.probe, engine: event.engine });
        this.sayReady();
        break;
      case 'early':
        this.earlyDone(event);
        break;
      case 'computed':
        this.computed(event);
        break;
      case 'folded':
        this.update({ summing: null });
        this.reached(event, 'folding', 'folded');
        break;
      case 'checked':
        this.update({ summing: null, owesCheck: false });
        break;
      case 'corrupt':
        this.log('error', `E_STATE_CORRUPT: ${event.what}`);
        this.leave(exitStatusOf('E_STATE_CORRUPT', 'worker'), 'E_STATE_CORRUPT', event.what);
        break;
      case 'failed':
        this.leave(exitStatusOf(event.code, 'worker'), event.code, event.message);
        break;
      case 'ringJoined':
        if (event.generation === this.state.generation) this.update({ ringReady: event.generation });
        break;
      case 'summed':
        this.summed(event);
        break;
      case 'ringFailed':
        this.ringFailed(event);
        break;
      case 'ringReleased':
        this.update({ inRing: null });
        break;
      case 'applied':
        this.appliedStep(event);
        break;
      case 'loaded':
        this.loaded(event);
        break;
      case 'loadFailed':
        this.update({ busy: null });
        this.log('warn', `${event.code}: ${event.message}`);
        if (event.generation === this.state.generation) {
          this.update({ unableIn: event.generation });
          this.send({ type: 'unable', generation: event.generation, code: event.code, message: event.message });
        } else {
          this.checkState();
        }
        break;
      case 'heartbeatDue':
        this.send({ type: 'heartbeat', generation: this.state.generation, step: this.state.have?.step ?? 0 });
        break;
      case 'leave':
        this.goes(event.reason, event.atOnce);
        break;
      case 'orphaned':
        this.update({ orphaned: true });
        if (!this.state.connected) this.exit(0, 'LEFT', event.reason);
        break;
      default:
        event satisfies never;
    }
  }

  private told(message: CoordinatorMessage, now: number): void {
    switch (message.type) {
      case 'heartbeat':
        break;
      case 'welcome':
        this.welcome(message);
        break;
      case 'refuse':
        this.refused(message, now);
        break;
      case 'plan':
        this.planned(message);
        break;
      case 'assign':
        this.assigned(message);
        break;
      case 'sum':
        if (message.generation === this.state.generation) this.update({ early: { message, stage: 'waiting' } });
        break;
      case 'reduce':
        // A worker that is still loading the state keeps it until it holds that state.
        if (message.generation === this.state.generation) this.update({ reduction: { message, stage: 'waiting' } });
        break;
      case 'stop':
        this.exit(0, message.code, message.reason);
        break;
      default:
        message satisfies never;
    }
  }

  /** The coordinator closes the connection after it, and the edge dials again. */
  private refused({ code, message, retryMs = 0 }: Told<'refuse'>, now: number): void {
    const since = this.state.refusedSince ?? now;
    if (now - since >= retryMs) return this.exit(EXIT.refused, code, message);
    if (this.state.refusedSince === null)
      this.log('warn', `${code}: ${message}; trying again for ${Math.round(retryMs / 1000)} s`);
    this.update({ refusedSince: since });
  }

  private welcome(message: Told<'welcome'>): void {
    this.update({ refusedSince: null });
    if (this.state.run === null) {
      this.update({ run: message.run, busy: { kind: 'initialise' } });
      this.effects.push({ type: 'initialise', settings: message.settings });
    } else if (this.state.run !== message.run) {
      this.exit(
        EXIT.refused,
        'E_OTHER_RUN',
        `the coordinator now leads run ${message.run}, this worker is in run ${this.state.run}; start a new worker`,
      );
    } else {
      this.sayReady();
    }
  }

  private sayReady(): void {
    const { have, probe } = this.state;
    // Before it is initialised: that says ready.
    if (have === null || probe === null) return;
    this.send({
      type: 'ready',
      have,
      record: this.state.record,
      generation: this.state.generation,
      probe,
      engine: this.state.engine,
    });
  }

  private planned(message: Told<'plan'>): void {
    if (message.generation <= this.state.generation) return;
    const { generation, step: planned, work, place, digest, reload, sources } = message;
    this.update({
      generation,
      plan: { generation, step: planned, work, place, digest, reload, sources },
      early: null,
      reduction: null,
      ringReady: -1,
    });
    this.effects.push({ type: 'leaveRing' }, { type: 'joinRing', generation, place });
    this.checkState();
  }

  private assigned({ generation, step: planned, work }: Told<'assign'>): void {
    const { plan } = this.state;
    if (plan === null || generation !== plan.generation || planned !== plan.step) return;
    const held = new Map(this.state.held);
    for (const microbatch of work.anew) held.delete(microbatch);
    this.update({ plan: { ...plan, work }, held, owesCheck: this.state.owesCheck || work.anew.length > 0 });
  }

  private loaded({ step: loadedStep, digest, source, bytes, milliseconds }: Extract<Event, { type: 'loaded' }>): void {
    const { generation } = this.state;
    this.update({
      busy: null,
      have: { step: loadedStep, digest },
      record: null,
      applied: -1,
      held: new Map(),
      begun: null,
    });
    this.send({ type: 'loaded', generation, step: loadedStep, source, bytes, milliseconds });
    this.checkState();
  }

  /** Compares the state that this worker holds with the one that the plan starts from. */
  private checkState(): void {
    const { plan, have, busy } = this.state;
    if (plan === null || plan.digest === null || have === null || busy?.kind === 'apply') return;
    if (have.step === plan.step && have.digest === plan.digest) {
      for (const [microbatch, gradient] of this.state.held) this.reportGradient(microbatch, gradient);
    } else if (this.hasFinished(plan, have)) {
      this.reportApplied();
    }
    // Anything else is fetched by `advance`, as soon as the compute thread is free.
  }

  private earlyDone({ step, microbatch, exponents, stored }: Extract<Event, { type: 'early' }>): void {
    const { have, plan, generation } = this.state;
    if (have?.step !== step) return;
    this.update({ begun: stored });
    if (plan?.step !== step) return;
    this.send({ type: 'early', generation, step, microbatch, exponents: [...exponents] });
  }

  private computed({ step, microbatch, gradient, goesOn }: Extract<Event, { type: 'computed' }>): void {
    this.update({ busy: following(this.state.busy, goesOn, step) });
    if (this.state.have?.step !== step) return;
    this.update({ held: new Map(this.state.held).set(microbatch, gradient), begun: null });
    if (this.state.plan?.step === step) this.reportGradient(microbatch, gradient);
  }

  private ringFailed(event: Extract<Event, { type: 'ringFailed' }>): void {
    if (event.generation !== this.state.generation) return;
    const { early, reduction } = this.state;
    // No ring of this generation comes any more: what is not summed stays so until the next one opens.
    if (early?.stage === 'ringing') this.update({ early: { ...early, stage: 'folded' } });
    if (reduction?.stage === 'ringing') this.update({ reduction: { ...reduction, stage: 'folded' } });
    this.update({ ringReady: -1 });
    this.log('warn', `${event.code}: ${event.message}`);
    this.send({
      type: 'broken',
      generation: event.generation,
      peer: event.peer,
      code: event.code,
      message: event.message,
    });
  }

  private appliedStep({ step: done, digest, goesOn }: Extract<Event, { type: 'applied' }>): void {
    const { reduction, plan } = this.state;
    this.update({
      busy: following(this.state.busy, goesOn, done + 1),
      have: { step: done + 1, digest },
      applied: done,
      held: new Map(),
      begun: null,
    });
    // A newer generation may have come while the step was being applied: then its plan stands, and has no `next`.
    if (reduction !== null && plan !== null && plan.generation === reduction.message.generation) {
      const next = reduction.message.next;
      this.update({
        plan: next === null ? null : { ...plan, step: done + 1, work: next, digest: null, reload: false },
      });
    }
    this.update({ early: null, reduction: null });
    if (this.state.plan === null || this.state.plan.digest === null) this.reportApplied();
    else this.checkState();
  }

  private reportApplied(): void {
    const { have, record, applied } = this.state;
    if (have === null || applied !== have.step - 1) return;
    this.send({
      type: 'applied',
      generation: this.state.generation,
      step: applied,
      digest: have.digest,
      record,
      ringMilliseconds: this.state.lastRing.milliseconds,
      ringBytes: this.state.lastRing.bytes,
    });
  }

  private reportGradient(microbatch: number, gradient: HeldGradient): void {
    if (this.state.plan === null) return;
    this.send({
      type: 'gradient',
      generation: this.state.generation,
      step: this.state.plan.step,
      microbatch,
      loss: gradient.loss,
      ...(gradient.figures.length > 0 && { figures: gradient.figures.map(orNull) }),
      exponents: [...gradient.exponents],
      samples: gradient.samples,
      digest: gradient.digest,
      milliseconds: gradient.milliseconds,
      cpuMilliseconds: gradient.cpuMilliseconds,
    });
  }

  /** A sum has come from one stage to the next, unless it is one that is given up. */
  private reached({ generation, step, part }: SumName, from: SumStage, to: SumStage): boolean {
    const { early, reduction } = this.state;
    const sum = part === 'early' ? early : reduction;
    if (sum?.message.generation !== generation || sum.message.step !== step || sum.stage !== from) return false;
    if (part === 'early') this.update({ early: early && { ...early, stage: to } });
    else this.update({ reduction: reduction && { ...reduction, stage: to } });
    return true;
  }

  private summed(event: Extract<Event, { type: 'summed' }>): void {
    if (!this.reached(event, 'ringing', 'summed')) return;
    const { milliseconds, bytes, part } = event;
    const before = part === 'late' ? this.state.lastRing : NOTHING_SENT;
    this.update({
      lastRing: { milliseconds: before.milliseconds + milliseconds, bytes: before.bytes + bytes },
    });
  }

  /** Starts whatever the threads and the ring can do next. */
  advance(): void {
    const { early, reduction, have, plan } = this.state;
    if (this.state.leaving || have === null) return;
    const mine = plan === null || plan.digest === null || plan.digest === have.digest;
    if (early !== null && early.message.step === have.step && mine) this.sumEarly(early);
    if (reduction !== null && reduction.message.step === have.step && mine) this.reduce(reduction);
    else if (plan !== null) this.compute(plan, have);
    this.halt();
  }

  /** Stops the compute thread from going on with what is not wanted any more, or not next. */
  private halt(): void {
    const { busy } = this.state;
    if ((busy?.kind !== 'compute' && busy?.kind !== 'apply') || busy.halting || busy.then.length === 0) return;
    const wanted = busy.kind === 'apply' ? wantedAfter(this.state) : wantedNow(this.state, busy.microbatch);
    const asWanted = isBeginning(busy.then, wanted);
    if (asWanted) return;
    this.update({ busy: { ...busy, halting: true } });
    this.effects.push({ type: 'halt' });
  }

  /** Of the early bucket: integer sum, ring. */
  private sumEarly(early: EarlySum): void {
    const { generation, step, contribute, exponents } = early.message;
    const name: SumName = { generation, step, part: 'early' };
    if (early.stage === 'waiting' && this.mayFold(name)) {
      this.update({ early: { ...early, stage: 'folding' }, summing: { kind: 'fold' } });
      this.effects.push({ type: 'fold', ...name, gradients: this.stored(contribute), exponents });
    } else if (early.stage === 'folded' && this.state.ringReady === generation) {
      this.update({ early: { ...early, stage: 'ringing' }, inRing: name });
      this.effects.push({ type: 'allReduce', ...name });
    }
  }

  /**
   * The sum is the ring's until it lets go of it, also of a generation that is over: what it still sends is read from there. Only the
   * late bucket may be written beside this step's early one. And the state must be at rest: a step being applied for an older
   * generation reads the sum, a load writes the weights.
   */
  private mayFold({ generation, step, part }: SumName): boolean {
    const { busy, summing, inRing } = this.state;
    if (summing !== null || busy?.kind === 'apply' || busy?.kind === 'load') return false;
    if (inRing === null) return true;
    const beside = inRing.part === 'early' && inRing.generation === generation && inRing.step === step;
    return beside && part === 'late';
  }

  /** Where these gradients lie: the coordinator names only what this worker reported. */
  private stored(microbatches: readonly number[]): StoredGradient[] {
    const { held, begun } = this.state;
    return microbatches.map((microbatch) => {
      const stored = held.get(microbatch)?.stored ?? (begun?.microbatch === microbatch ? begun : undefined);
      if (stored === undefined) throw new Error(`microbatch ${microbatch} is to be summed, but is not held here`);
      return stored;
    });
  }

  /** The step's last stages: sum, ring, apply. */
  private reduce(reduction: Reduction): void {
    const { busy, summing, early } = this.state;
    const { generation, step, exponents, contribute, record, skip, next } = reduction.message;
    const idle = busy === null && summing === null;
    const name: SumName = { generation, step, part: early === null ? 'whole' : 'late' };
    // Also of a step that is skipped: the others wait for this worker in the ring.
    const earlyDone = early === null || early.stage === 'summed';
    switch (reduction.stage) {
      case 'waiting':
        if (skip) {
          if (!idle || !earlyDone) return;
          // What the ring took for another step is not this one's.
          if (early === null) this.update({ lastRing: NOTHING_SENT });
          this.apply(reduction.message);
        } else if (this.mayFold(name)) {
          this.update({ reduction: { ...reduction, stage: 'folding' }, summing: { kind: 'fold' } });
          this.effects.push({ type: 'fold', ...name, gradients: this.stored(contribute), exponents });
        }
        return;
      case 'folded':
        if (this.state.ringReady !== generation || !earlyDone || this.state.inRing !== null) return;
        this.update({ reduction: { ...reduction, stage: 'ringing' }, inRing: name });
        this.effects.push({ type: 'allReduce', ...name });
        // The compute thread has nothing else to do until the total is there.
        if (next !== null) this.effects.push({ type: 'prepare', step: step + 1, microbatches: next.microbatches });
        return;
      case 'summed':
        if (idle) this.apply({ step, exponents, record, skip });
        return;
      case 'folding':
      case 'ringing':
        return;
      default:
        reduction.stage satisfies never;
    }
  }

  private apply({
    step,
    exponents,
    record,
    skip,
  }: Pick<Told<'reduce'>, 'step' | 'exponents' | 'record' | 'skip'>): void {
    const then = wantedAfter(this.state);
    this.update({ busy: { kind: 'apply', step, then, halting: false }, record });
    this.effects.push({ type: 'apply', step, exponents, skip, then });
  }

  /** The step's first stages: the right state, then the gradients. */
  private compute(plan: Plan, have: HeldState): void {
    const { busy, summing } = this.state;
    if (this.state.owesCheck) {
      if (summing === null && (busy === null || busy.kind === 'compute')) {
        this.update({ summing: { kind: 'check' } });
        this.effects.push({ type: 'check' });
      }
      return;
    }
    if (busy !== null || this.state.handingOver) return;
    if (this.mustLoad()) {
      const { generation, step: planned, digest, sources } = plan;
      if (digest === null || summing !== null) return;
      this.update({ busy: { kind: 'load', generation, step: planned } });
      this.effects.push({ type: 'load', generation, step: planned, digest, sources });
      return;
    }
    const [first, ...then] = wantedNow(this.state, null);
    if (first === undefined) return;
    this.update({ busy: { kind: 'compute', step: have.step, microbatch: first.microbatch, then, halting: false } });
    this.effects.push({ type: 'compute', step: have.step, wanted: [first, ...then] });
  }

  /** True if the plan starts from a state that this worker neither holds nor has just gone beyond. */
  private mustLoad(): boolean {
    const { plan, have } = this.state;
    if (plan === null || plan.digest === null || have === null) return false;
    // Not again in this generation: the coordinator opens another one, with other sources.
    if (this.state.unableIn === plan.generation) return false;
    if (have.step === plan.step) return have.digest !== plan.digest;
    return !this.hasFinished(plan, have);
  }

  /** True if this worker has done the step that the plan asks for, and may say so. */
  private hasFinished(plan: Plan, have: HeldState): boolean {
    return !plan.reload && have.step === plan.step + 1 && this.state.applied === plan.step;
  }

  /**
   * Says goodbye, and stays until it is told to go, as it may be the last one that holds the state. A ring that runs is gone through
   * to its end, for which the others wait.
   */
  private goes(reason: string, atOnce: boolean): void {
    const { connected, have, handingOver } = this.state;
    if (atOnce || !connected || have === null)
      return handingOver ? this.exit(0, 'LEFT', reason) : this.leave(0, 'LEFT', reason);
    if (handingOver) return;
    this.update({ handingOver: true });
    this.send({ type: 'bye', code: 'LEFT', reason });
  }

  private leave(status: number, code: ErrorCode | 'LEFT', reason: string): void {
    this.send({ type: 'bye', code, reason: reason.slice(0, MAX_TEXT) });
    this.exit(status, code, reason);
  }

  private exit(status: number, code: string, reason: string): void {
    this.update({ leaving: true });
    this.effects.push({ type: 'leaveRing' }, { type: 'exit', status, code, reason });
  }

  private update(change: Partial<State>): void {
    // The state that came in stays as it was; the turn's own copy is one.
    this.state = this.isOwn ? Object.assign(this.state, change) : { ...this.state, ...change };
    this.isOwn = true;
  }

  private log(level: 'info' | 'warn' | 'error', text: string): void {
    this.effects.push({ type: 'log', level, text });
  }

  /** A message while the connection is down is dropped: `ready` tells the coordinator all that matters when it is back. */
  private send(message: WorkerMessage): void {
    if (this.state.connected) this.effects.push({ type: 'send', message });
  }
}
