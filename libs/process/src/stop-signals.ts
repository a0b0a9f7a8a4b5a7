/**
 * What signals mean to `lockstep up`, a coordinator and a worker: one list, and one judgement, for all of them.
 *
 * Node gives a signal that has a listener to it and to nothing else, so these end no process by themselves. That is needed for SIGHUP
 * too where it was ignored by `nohup`: Node takes it back to its default, which ends the process.
 */
import { constants } from 'node:os';

/** By which schedulers (Slurm's --signal, PBS) warn of the end of the time; the kernel sends SIGXCPU once a second. */
const WARNINGS = ['SIGUSR1', 'SIGUSR2', 'SIGXCPU'] as const;
/** By which a person or a supervisor asks for the end. Twice means: at once. */
const ORDERS = ['SIGINT', 'SIGTERM'] as const;

/** All signals that are caught. */
export const STOP_SIGNALS = [...ORDERS, 'SIGHUP', ...WARNINGS] as const;
export type StopSignal = (typeof STOP_SIGNALS)[number];

/**
 * A shell, npm and nx hand on what the terminal has sent to the whole process group: the copies come within milliseconds, on a busy
 * machine within tens of them. A person who wants the end at once presses again later, or once more.
 */
export const COPY_MS = 1_000;

/** `again`: the second order, to end at once. `ignore`: a copy, or nothing new. `hangup`: the terminal is gone, which is no reason to stop. */
export type SignalMeaning = 'stop' | 'again' | 'checkpoint' | 'hangup' | 'ignore';

export interface SignalSettings {
  readonly warningSignal: 'stop' | 'checkpoint';
  /** Whether SIGHUP is an end as any other, see `hangupStops`. */
  readonly hangupStops: boolean;
}

/** Tells what each signal means, from those that came before. Has no clock: times are given, in milliseconds. */
export class SignalJudge {
  private stoppingSince: number | null = null;
  /** When the first order came; a warning before it is none. */
  private orderedAt: number | null = null;
  private readonly lastOf = new Map<StopSignal, number>();

  constructor(private readonly settings: SignalSettings) {}

  judge(signal: StopSignal, now: number): SignalMeaning {
    const isCopy = now - (this.lastOf.get(signal) ?? -Infinity) < COPY_MS;
    if (!isCopy) this.lastOf.set(signal, now);
    if (signal === 'SIGHUP' && !this.settings.hangupStops) return isCopy ? 'ignore' : 'hangup';
    if (isWarning(signal) && this.settings.warningSignal === 'checkpoint') return isCopy ? 'ignore' : 'checkpoint';
    const isOrder = ORDERS.some((order) => order === signal);
    if (this.stoppingSince === null) {
      this.stoppingSince = now;
      if (isOrder) this.orderedAt = now;
      return 'stop';
    }
    if (!isOrder) return 'ignore';
    if (this.orderedAt === null) {
      this.orderedAt = now;
      return 'ignore';
    }
    return now - this.orderedAt < COPY_MS ? 'ignore' : 'again';
  }
}

function isWarning(signal: StopSignal): boolean {
  return WARNINGS.some((warning) => warning === signal);
}

/** Calls `act` with each of these signals that this process gets, until the returned function is called. */
export function onStopSignals(act: (signal: StopSignal) => void): () => void {
  const listeners = STOP_SIGNALS.map((signal) => [signal, () => act(signal)] as const);
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
}

/**
 * Where no output is a terminal, the end of the terminal does not end this process either. For what a person may start under `nohup`
 * and what has nothing to tell then.
 */
export function outliveTerminal(): void {
  if (!hangupStops()) process.on('SIGHUP', () => undefined);
}

/** Whether the end of the terminal is the end of this process: where standard output or error is one, as then nobody asked for `nohup`. */
export function hangupStops(): boolean {
  return process.stdout.isTTY || process.stderr.isTTY;
}

/**
 * Ends this process by SIGHUP, as shells expect it of who was sent that. Node's own end would put the terminal back into its mode,
 * and abort as it is gone.
 */
export function endByHangup(): void {
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
}

/** The exit status of a process that a signal ended, as shells have it: 128 and the signal's number. */
export function statusOfSignal(signal: StopSignal): number {
  return 128 + constants.signals[signal];
}

/** Whether `text` names one of these signals. */
export function isStopSignal(text: string): text is StopSignal {
  return STOP_SIGNALS.some((signal) => signal === text);
}
