/**
 * One event's turn: the state as it becomes, and the effects in the order in which they must happen. The files that decide
 * (membership, generation, commit) work on a Turn; core.ts calls them.
 */
import { type ErrorCode } from '@lockstep/base';
import type { CommitRecord, CoordinatorMessage, Member } from '@lockstep/comm';
import { paceOf, type Pace } from './balance.js';
import type { MonotonicMs } from './clocks.js';
import type { Durable, Effect, Note, Outcome, Phase, Settings, State, StepWork, WorkerView } from './state.js';
import { giveOut } from './work.js';

export class Turn {
  readonly effects: Effect[] = [];
  /** Why the next generation must open; core.ts opens it when the event is dealt with. */
  reopen: string | null = null;

  constructor(
    public state: State,
    readonly now: MonotonicMs,
    readonly settings: Settings,
    private readonly ledger: Durable,
  ) {}

  update(change: Partial<State>): void {
    this.state = { ...this.state, ...change };
  }

  /** The ring of the generation, with each member's place in it; none while gathering. */
  setRing(ring: readonly string[]): void {
    this.update({ ring, ranks: new Map(ring.map((id, rank) => [id, rank])) });
  }

  setPhase(phase: Phase): void {
    this.update({ phase });
  }

  worker(id: string): WorkerView | undefined {
    return this.state.workers.get(id);
  }

  setWorker(id: string, change: Partial<WorkerView>): void {
    const view = this.state.workers.get(id);
    if (view !== undefined) this.state.workers.set(id, { ...view, ...change });
  }

  setHave(id: string, step: number, digest: string, record?: CommitRecord | null): void {
    this.setWorker(id, { have: { step, digest }, ...(record ? { record } : {}) });
  }

  note(note: Note): void {
    this.effects.push({ type: 'note', note });
  }

  send(worker: string, message: CoordinatorMessage): void {
    this.effects.push({ type: 'send', worker, message });
  }

  /** The ledger's digest of a state; null for one that this history has not come to yet. */
  digestOf(step: number): string | null {
    return step <= Math.max(this.state.known, this.state.step) ? this.ledger.digestOf(step) : null;
  }

  inRing(id: string): boolean {
    return this.state.ranks.has(id);
  }

  readyWorkers(): WorkerView[] {
    return [...this.state.workers.values()].filter((view) => view.have !== null && !view.leaving);
  }

  /** Ready workers that are in no ring and could be: those that claim an unproved state wait until it is. */
  joiners(): WorkerView[] {
    return this.readyWorkers().filter((view) => !this.inRing(view.id) && !this.claims(view));
  }

  /** True if the worker says that it has finished the step that is being done. */
  claims({ have }: WorkerView): boolean {
    return have?.step === this.state.step + 1 && this.state.step < this.settings.steps;
  }

  /** Those of `views`, by default of all, that hold the state that the step starts from. */
  holders(views: readonly WorkerView[] = this.readyWorkers()): WorkerView[] {
    return views.filter((view) => this.isHeldBy(view));
  }

  isHeldBy({ have }: WorkerView): boolean {
    return have?.step === this.state.step && have.digest === this.state.digest;
  }

  /** True if the committed state can be had without any worker: from its checkpoint, or from the seed. */
  isKept(): boolean {
    return this.state.step === 0 || this.state.checkpoint?.step === this.state.step;
  }

  pace(ring: readonly string[] = this.state.ring): Pace {
    return paceOf(ring, (id) => this.worker(id)?.speed ?? null);
  }

  /** Workers of `ring` whose gradients must have the same bits as `worker`'s. */
  peers(worker: string, ring: readonly string[] = this.state.ring): string[] {
    const probe = this.worker(worker)?.probe;
    return ring.filter((id) => id !== worker && this.worker(id)?.probe === probe);
  }

  /** Work of `step` for the workers of `ring`; `holder` has a microbatch's gradient already. */
  giveOut(step: number, ring: readonly string[], holder: (microbatch: number) => string | null): StepWork {
    const { microbatches, runSettings, auditRate } = this.settings;
    return giveOut({
      step,
      ring,
      microbatches,
      pace: this.pace(ring),
      holder,
      audit: { seed: runSettings.seed, rate: auditRate },
      peers: (worker) => this.peers(worker, ring),
      now: this.now,
    });
  }

  // ---- ways out --------------------------------------------------------------------------------------------------

  lose(worker: string, reason: string): void {
    const view = this.state.workers.get(worker);
    if (view === undefined) return;
    this.state.workers.delete(worker);
    // Of one that said `bye` it was told then.
    if (!view.leaving) this.note({ note: 'worker-lost', worker, reason });
    const { kind } = this.state.phase;
    if (this.inRing(worker) && (kind === 'computing' || kind === 'reducing'))
      this.reopen ??= `lost ${worker}: ${reason}`;
  }

  evict(worker: string, code: ErrorCode, reason: string): void {
    this.effects.push({ type: 'close', worker, reason: `${code}: ${reason}` });
    this.lose(worker, `${code}: ${reason}`);
  }

  refuse(worker: string, code: ErrorCode, reason: string): void {
    this.note({ note: 'worker-refused', worker, code, reason });
    this.send(worker, { type: 'refuse', code, message: reason });
    this.evict(worker, code, reason);
  }

  /** Tells a worker that said `bye` to go. */
  release(worker: string, reason: string): void {
    this.send(worker, { type: 'stop', code: 'RELEASED', reason });
    this.effects.push({ type: 'close', worker, reason });
    this.state.workers.delete(worker);
  }

  /** Publishes the state that is committed last, then ends. */
  finish(outcome: Outcome): void {
    this.reopen = null;
    this.setPhase({ kind: 'finishing', outcome });
    if (this.state.checkpoint?.step !== this.state.step) this.save();
  }

  /** Ends as it was asked to; says where a resume goes on. */
  endStopped(asked: string, failure: { readonly code: ErrorCode; readonly reason: string } | null = null): void {
    const { step, known, checkpoint } = this.state;
    const from = checkpoint?.step ?? 0;
    const again = Math.max(step, known) - from;
    const resumed = `a resume goes on from ${from === 0 ? 'the beginning' : `the checkpoint of step ${from}`}`;
    const steps = `${again} committed step${again === 1 ? '' : 's'}`;
    if (again <= 0) {
      const kept = from === 0 ? 'no step was done' : `the checkpoint of step ${from} holds all that was committed`;
      this.end({ kind: 'stopped', code: 'STOPPED', reason: `${asked}; ${kept}`, asked });
    } else if (from >= step || step <= known) {
      // What was committed beyond it was so before this coordinator was started.
      this.end({ kind: 'stopped', code: 'STOPPED', reason: `${asked}; ${resumed} and does ${steps} again`, asked });
    } else {
      const { code, reason } = failure ?? NO_SOURCE;
      const text = `${asked}, but no checkpoint of step ${step} could be written (${reason}); ${resumed} and does ${steps} again`;
      this.end({ kind: 'failed', code, reason: text, asked });
    }
  }

  /** Publishes the committed state and keeps it in place meanwhile. */
  save(): void {
    if (this.state.saving === this.state.step) return;
    this.update({ saving: this.state.step });
    this.publish();
  }

  publish(): void {
    const { step, digest, generation } = this.state;
    this.effects.push({ type: 'publish', step, digest, generation, from: this.sources() });
  }

  end(outcome: Outcome): void {
    this.reopen = null;
    this.setPhase({ kind: 'over', outcome });
    this.note({ note: 'over', outcome });
    for (const id of this.state.workers.keys())
      this.send(id, { type: 'stop', code: outcome.code, reason: outcome.reason });
    this.effects.push({ type: 'exit', outcome });
  }

  fail(code: ErrorCode, reason: string): void {
    this.end({ kind: 'failed', code, reason });
  }

  /** Workers from which the committed state can be had; last those that leave. */
  sources(): Member[] {
    const leaving = [...this.state.workers.values()].filter((view) => view.leaving);
    return [...this.holders(), ...this.holders(leaving)].map(memberOf);
  }
}

const NO_SOURCE = { code: 'E_CHECKPOINT_SOURCE', reason: 'no worker that holds its state is there' } as const;

export function memberOf({ id, host, port, local }: WorkerView): Member {
  return { id, host, port, ...(local !== null && { local }) };
}

export function stopped(reason: string): Outcome {
  return { kind: 'stopped', code: 'STOPPED', reason };
}

export function complete(steps: number): Outcome {
  return { kind: 'complete', code: 'COMPLETE', reason: `all ${steps} steps are done` };
}
