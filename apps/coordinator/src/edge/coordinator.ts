/**
 * The coordinator's edge: it hands what happens to the decisions and carries the effects out, in order, over its ports (ports.ts).
 * It has no socket, disk or clock of its own.
 */
import { EffectQueue, failureLine, failureOf } from '@lockstep/base';
import { timeoutsFrom } from '@lockstep/comm';
import { Decisions, entryOf } from '../decide/decisions.js';
import { nameTaken } from '../decide/membership.js';
import type { Durable, Effect, Happening, Outcome, Recovered, Settings, State } from '../decide/state.js';
import { Connections } from './connections.js';
import type { CoordinatorPorts } from './ports.js';
import { Publisher } from './publisher.js';

export interface CoordinatorOptions {
  readonly settings: Settings;
  readonly recovered: Recovered;
  /** Digest of state 0, which the seed decides, or the state of another run that this one starts from. */
  readonly startDigest: string;
}

type Awaited = Extract<Effect, { type: 'recordGeneration' | 'branchLedger' }>;

export class Coordinator {
  /** Resolves when the run is over and all that it wrote is on disk. */
  readonly finished: Promise<Outcome>;
  private readonly decisions: Decisions;
  private readonly connections: Connections;
  private readonly publisher: Publisher;
  private readonly effects = new EffectQueue<Effect>((effect) => this.perform(effect));
  private readonly background = new Set<Promise<void>>();
  private readonly tickMs: number;
  private stopTicking: () => void = () => undefined;
  private resolveFinished: (outcome: Outcome) => void = () => undefined;

  constructor(
    { settings, recovered, startDigest }: CoordinatorOptions,
    private readonly ports: CoordinatorPorts,
  ) {
    const { clocks, ledger, timers, watcher } = ports;
    const { heartbeatTimeoutMs } = settings;
    this.tickMs = timeoutsFrom(heartbeatTimeoutMs).coordinatorTickMs;
    const durable: Durable = { digestOf: (of) => (of === 0 ? startDigest : (ledger.get(of - 1)?.digest ?? null)) };
    this.decisions = new Decisions({ recovered, settings, durable, clocks });
    this.finished = new Promise((resolve) => (this.resolveFinished = resolve));
    this.publisher = new Publisher(ports.publishing, settings, clocks);
    this.connections = new Connections({
      heartbeatTimeoutMs,
      timers,
      dispatch: (happening) => this.dispatch(happening),
      nameTaken: (hello) => nameTaken(this.state, hello, heartbeatTimeoutMs),
      onTurnedAway: (worker, { code, message }) =>
        watcher.told({ note: 'worker-refused', worker, code, reason: message }),
    });
  }

  /** Lets workers in, and time pass. */
  start(): void {
    const { timers, door } = this.ports;
    this.stopTicking = timers.every(this.tickMs, () => this.dispatch({ type: 'tick' }));
    this.connections.start();
    door.open((pipe) => this.connections.accept(pipe));
  }

  /** What it has decided so far, for whoever watches it. */
  get state(): State {
    return this.decisions.state;
  }

  /** Commits the step under way, publishes a checkpoint and ends. */
  stop(reason: string): void {
    this.dispatch({ type: 'stopRequested', reason });
  }

  /** Publishes a checkpoint as soon as a state is at rest, and goes on. */
  checkpoint(): void {
    this.dispatch({ type: 'checkpointRequested' });
  }

  private dispatch(happening: Happening): void {
    const effects = this.decisions.take(happening);
    this.ports.watcher.decided(this.state);
    this.effects.push(effects);
  }

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

  private recordFirst(effect: Awaited): Promise<void> {
    const { ledger, clocks } = this.ports;
    return effect.type === 'recordGeneration'
      ? ledger.setGeneration(effect.generation)
      : ledger.branch(effect.step, effect.reason, clocks.wallNow());
  }

  private performOne(effect: Exclude<Effect, Awaited>): void {
    const { ledger, clocks, watcher } = this.ports;
    switch (effect.type) {
      case 'send':
        this.connections.send(effect.worker, effect.message);
        break;
      case 'close':
        this.connections.close(effect.worker, effect.reason);
        break;
      case 'recordClass':
        this.recorded(ledger.setClass(effect.numerics));
        break;
      case 'recordAdmitted':
        this.recorded(ledger.admit({ step: effect.step, worker: effect.worker, ...effect.numerics }));
        break;
      case 'appendLedger': {
        const { step } = effect.record;
        const written = ledger.append(entryOf(effect, clocks)).then(
          () => this.dispatch({ type: 'ledgerWritten', step }),
          (error: unknown) => this.ledgerFailed(step, error),
        );
        this.inBackground(written);
        break;
      }
      case 'publish': {
        const { step, digest } = effect;
        const done = this.publisher.publish(effect).then(
          () => this.dispatch({ type: 'published', step, digest }),
          (error: unknown) => this.dispatch({ type: 'publishFailed', step, ...failureOf(error) }),
        );
        this.inBackground(done);
        break;
      }
      case 'keep': {
        const { step } = effect;
        const kept = this.publisher.keep(effect).then(
          () => this.dispatch({ type: 'kept', step, failure: null }),
          (error: unknown) => this.dispatch({ type: 'kept', step, failure: failureLine(error) }),
        );
        this.inBackground(kept);
        break;
      }
      case 'note':
        watcher.told(effect.note);
        break;
      case 'exit':
        void this.shutDown(effect.outcome);
        break;
      default:
        effect satisfies never;
    }
  }

  private recorded(task: Promise<unknown>): void {
    this.inBackground(
      task.then(
        () => undefined,
        (error: unknown) => this.ledgerFailed(this.state.step, error),
      ),
    );
  }

  private ledgerFailed(step: number, error: unknown): void {
    this.dispatch({ type: 'ledgerFailed', step, ...failureOf(error) });
  }

  private inBackground(task: Promise<void>): void {
    this.background.add(task);
    void task.finally(() => this.background.delete(task));
  }

  private async shutDown(outcome: Outcome): Promise<void> {
    this.stopTicking();
    this.connections.stop();
    this.ports.watcher.ending();
    while (this.background.size > 0) await Promise.all(this.background);
    await this.ports.door.close(outcome.code);
    await this.ports.ledger.close();
    this.resolveFinished(outcome);
  }
}
