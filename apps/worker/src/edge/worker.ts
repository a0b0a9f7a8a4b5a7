/**
 * The worker's edge: it turns what happens into events for core.ts and carries the effects out, in order, over its ports
 * (ports.ts). It has no socket, thread, clock or disk of its own.
 */
import { EffectQueue, EXIT, exitStatusOf, failureOf, type Failure } from '@lockstep/base';
import type { CoordinatorMessage } from '@lockstep/comm';
import type { StateArrays } from '@lockstep/base';
import { decide } from '../decide/core.js';
import { stageOf } from '../decide/stage.js';
import { initialState, type Effect, type Event, type State } from '../decide/state.js';
import { Computation } from './computation.js';
import { ControlConnection } from './control-connection.js';
import type { Deciding, WorkerPorts } from './ports.js';
import { RingSeat } from './ring-seat.js';
import { StateTransfer } from './state-transfer.js';

export interface WorkerIdentity {
  readonly id: string;
  /** 128 random bits in hex, this process's alone. */
  readonly instance: string;
  /** Where others dial its data plane. */
  readonly advertiseHost: string;
  /** The coordinator's base URL, ws://host:port. */
  readonly coordinator: string;
}

/** How the worker ended: the process's exit status, a code and why. */
export interface Ending {
  readonly status: number;
  readonly code: string;
  readonly reason: string;
}

export class TrainingWorker {
  readonly finished: Promise<Ending>;
  private current: State;
  private readonly effects = new EffectQueue<Effect>((effect) => {
    this.perform(effect);
    return undefined;
  });
  private readonly control: ControlConnection;
  private readonly computation: Computation;
  private readonly ring: RingSeat;
  private readonly transfer: StateTransfer;
  private cancelLeaving: () => void = () => undefined;
  private over = false;
  private end: (ending: Ending) => void = () => undefined;

  constructor(
    { id, instance, advertiseHost, coordinator }: WorkerIdentity,
    private readonly ports: WorkerPorts,
  ) {
    const { port, local } = ports.dataPlane;
    this.current = initialState({ id, instance, host: advertiseHost, port, local });
    this.finished = new Promise((resolve) => (this.end = resolve));
    this.control = this.controlTo(coordinator);
    const deciding = this.deciding();
    this.computation = new Computation(ports.openEngine, deciding, this.effects);
    this.ring = new RingSeat(ports.dataPlane, this.computation, deciding);
    this.transfer = new StateTransfer(coordinator.replace(/^ws/, 'http'), ports, this.computation, deciding);
  }

  /** Looks for the coordinator. */
  start(): void {
    this.control.start();
  }

  /** What it has decided so far, for whoever watches it. */
  get state(): State {
    return this.current;
  }

  /** Whether it has come so far that it could take part in the run. */
  get wasReady(): boolean {
    return this.computation.initialised;
  }

  /** The state after so many steps, if it holds or retained that. */
  served(wanted: number): StateArrays | null {
    return this.transfer.served(wanted);
  }

  /**
   * Tells the coordinator, hands over what it holds, for a bounded time, and ends.
   *
   * @param atOnce without handing anything over
   */
  leave(reason: string, atOnce = false): void {
    this.dispatch({ type: 'leave', reason, atOnce });
    if (this.over) return;
    this.cancelLeaving();
    this.cancelLeaving = this.ports.clock.after(this.control.timeouts.handOverMs, () => {
      this.dispatch({ type: 'leave', reason: `${reason}; its coordinator did not let it go`, atOnce: true });
    });
  }

  /** Its parent process is gone: it ends when the coordinator says so, or is gone too. */
  orphan(reason: string): void {
    this.dispatch({ type: 'orphaned', reason });
  }

  private deciding(): Deciding {
    const current = (): State => this.current;
    const isOver = (): boolean => this.over;
    return {
      get state() {
        return current();
      },
      get over() {
        return isOver();
      },
      dispatch: (event) => this.dispatch(event),
      fail: (failure) => this.fail(failure),
    };
  }

  private controlTo(coordinator: string): ControlConnection {
    const { log } = this.ports;
    return new ControlConnection({
      coordinator,
      ports: this.ports,
      onOpen: () => this.dispatch({ type: 'connected' }),
      onMessage: (message) => this.heard(message),
      onLost: () => {
        if (this.current.refusedSince === null) log('warn', 'E_COORDINATOR_LOST: the connection ended; dialling again');
        this.dispatch({ type: 'disconnected' });
      },
      onBeat: () => this.dispatch({ type: 'heartbeatDue' }),
      onRefused: ({ code, message }) => void this.close({ status: EXIT.refused, code, reason: message }),
      onInvalid: (error) => this.fail(failureOf(error)),
      onSilent: (silence) => log('warn', `E_COORDINATOR_SILENT: nothing heard for ${silence} ms; connecting anew`),
      onUnreachable: (waited) => {
        const reason = `no coordinator at ${coordinator} for ${Math.round(waited / 1000)} s; check that it runs and that the address is right`;
        void this.close({ status: EXIT.unreachable, code: 'E_COORDINATOR_UNREACHABLE', reason });
      },
    });
  }

  private heard(message: CoordinatorMessage): void {
    if (message.type === 'welcome') this.control.pace(message.heartbeatTimeoutMs);
    this.dispatch({ type: 'message', message, now: this.ports.clock.now() });
  }

  private dispatch(event: Event): void {
    if (this.over) return;
    try {
      const { state, effects } = decide(this.current, event);
      this.current = state;
      this.ports.trace.stage(...stageOf(state));
      this.effects.push(effects);
    } catch (error) {
      this.fail(failureOf(error));
    }
  }

  private perform(effect: Effect): void {
    switch (effect.type) {
      case 'send':
        this.control.send(effect.message);
        break;
      case 'initialise':
        void this.computation.initialise(effect.settings);
        break;
      case 'compute':
        this.computation.compute(effect);
        break;
      case 'halt':
        this.computation.halt();
        break;
      case 'fold':
        this.computation.fold(effect);
        break;
      case 'check':
        this.computation.check();
        break;
      case 'apply':
        this.computation.apply(effect);
        break;
      case 'prepare':
        this.computation.prepare(effect);
        break;
      case 'joinRing':
        void this.ring.join(effect.generation, effect.place, this.control.heartbeatTimeoutMs);
        break;
      case 'leaveRing':
        this.ring.leave();
        break;
      case 'allReduce':
        void this.ring.allReduce(effect);
        break;
      case 'load':
        void this.transfer.load(effect, this.control.timeouts.transferStallMs);
        break;
      case 'log':
        this.ports.log(effect.level, effect.text);
        break;
      case 'exit':
        void this.close({ status: effect.status, code: effect.code, reason: effect.reason });
        break;
      default:
        effect satisfies never;
    }
  }

  private fail({ code, message }: Failure): void {
    void this.close({ status: exitStatusOf(code, 'worker'), code, reason: message });
  }

  private async close(ending: Ending): Promise<void> {
    if (this.over) return;
    this.over = true;
    this.effects.clear();
    this.cancelLeaving();
    this.ports.trace.close();
    await this.control.close(ending.code);
    await this.ports.dataPlane.close();
    this.computation.release();
    this.end(ending);
  }
}
