/** What signals, `lockstep up` and the end of whoever started it ask of a coordinator process. */
import {
  SignalJudge,
  hangupStops,
  onStopSignals,
  statusOfSignal,
  watchLaunchers,
  type StopSignal,
} from '@lockstep/process';
import { type RunConfig } from '@lockstep/config';

/** From `lockstep up` over the fork's channel. `reason`: the signal that it got. */
export type Order = { readonly kind: 'stop'; readonly reason: string } | { readonly kind: 'checkpoint' };

/** Who carries them out. */
export interface Ordered {
  stop(reason: string): void;
  checkpoint(): void;
}

type Log = (level: 'info' | 'warn', text: string) => void;

/**
 * Listens from the moment it is made, as opening a run takes a while; what comes before `obey` is kept for it. Nothing ends the
 * process by itself but the second order to stop.
 */
export class Orders {
  private readonly waiting: Order[] = [];
  private ordered: Ordered | null = null;
  private hungUp = false;
  private readonly judge: SignalJudge;

  constructor(
    warningSignal: RunConfig['warningSignal'],
    private readonly log: Log,
  ) {
    this.judge = new SignalJudge({ warningSignal, hangupStops: hangupStops() });
    onStopSignals((signal) => this.signalled(signal));
    process.on('message', (raw: Order) => this.take(raw));
    // Started by `lockstep up`, it must not outlive it.
    process.on('disconnect', () => this.take({ kind: 'stop', reason: 'its parent process is gone' }));
    if (process.connected) return;
    watchLaunchers(
      () => this.take({ kind: 'stop', reason: 'the npm or nx that started it is gone' }),
      () => this.hungUp,
    );
  }

  obey(ordered: Ordered): void {
    this.ordered = ordered;
    for (const order of this.waiting.splice(0)) this.take(order);
  }

  private signalled(signal: StopSignal): void {
    const meaning = this.judge.judge(signal, performance.now());
    switch (meaning) {
      case 'stop':
        this.log('info', `${signal}: stopping (once more to stop at once)`);
        this.take({ kind: 'stop', reason: signal });
        break;
      case 'again':
        this.log('info', `${signal}: stopping at once`);
        process.exit(statusOfSignal(signal));
        break;
      case 'checkpoint':
        this.log('info', `${signal}: a checkpoint is asked for, and the training goes on`);
        this.take({ kind: 'checkpoint' });
        break;
      case 'hangup':
        this.hungUp = true;
        this.log('info', `${signal}: goes on, as its output is no terminal`);
        break;
      case 'ignore':
        break;
      default:
        meaning satisfies never;
    }
  }

  private take(order: Order): void {
    if (this.ordered === null) this.waiting.push(order);
    else if (order.kind === 'stop') this.ordered.stop(order.reason);
    else this.ordered.checkpoint();
  }
}
