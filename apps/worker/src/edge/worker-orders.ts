/** What signals, `lockstep up` and the end of whoever started it ask of a worker process. */
import { SignalJudge, hangupStops, onStopSignals, watchLaunchers, type StopSignal } from '@lockstep/process';
import { type WorkerConfig } from '@lockstep/config';

/** Who carries them out. */
export interface Ordered {
  leave(reason: string, atOnce?: boolean): void;
  orphan(reason: string): void;
}

type Log = (level: 'info' | 'warn', text: string) => void;

/**
 * Carries out what this process is asked from now on.
 *
 * @returns what made it leave, as far as anything did
 */
export function obeyOrders(
  worker: Ordered,
  warningSignal: WorkerConfig['warningSignal'],
  log: Log,
): () => StopSignal | null {
  if (process.connected) {
    obeyParent(worker, log);
    return () => null;
  }
  return obeySignals(worker, warningSignal, log);
}

/**
 * Started by `lockstep up`: that and the coordinator get every signal that this process gets, and the coordinator takes the state
 * from here before it says that this is the end. So no signal ends it, and the end of `up` does when the coordinator is gone too.
 */
function obeyParent(worker: Ordered, log: Log): void {
  onStopSignals((signal) => log('info', `${signal}: it stays until the coordinator lets it go`));
  process.on('disconnect', () => worker.orphan('its parent process is gone'));
}

/** Started by hand or by a supervisor: it may be the only one that is to go. */
function obeySignals(worker: Ordered, warningSignal: WorkerConfig['warningSignal'], log: Log): () => StopSignal | null {
  const judge = new SignalJudge({ warningSignal, hangupStops: hangupStops() });
  let hungUp = false;
  let leaving: StopSignal | null = null;
  onStopSignals((signal) => {
    const meaning = judge.judge(signal, performance.now());
    switch (meaning) {
      case 'stop':
        log('info', `${signal}: leaving; what it holds is handed over (once more to leave at once)`);
        leaving = signal;
        worker.leave(signal);
        break;
      case 'again':
        worker.leave(signal, true);
        break;
      case 'hangup':
        hungUp = true;
        log('info', `${signal}: goes on, as its output is no terminal`);
        break;
      case 'checkpoint':
        log('info', `${signal}: goes on; the coordinator writes checkpoints`);
        break;
      case 'ignore':
        break;
      default:
        meaning satisfies never;
    }
  });
  watchLaunchers(
    () => worker.leave('the npm or nx that started it is gone'),
    () => hungUp,
  );
  return () => leaving;
}
