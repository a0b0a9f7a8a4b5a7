/**
 * `lockstep up`: one coordinator process and N worker processes on this machine. It starts them, shows what they report,
 * starts those that die again, and passes Ctrl-C on. It decides nothing about the training.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { accessSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { joinTraces } from '@lockstep/run';
import { hostInUrl, reachableHere } from '@lockstep/comm';
import {
  SignalJudge,
  endByHangup,
  hangupStops,
  isStopSignal,
  onStopSignals,
  statusOfSignal,
  watchLaunchers,
  type StopSignal,
} from '@lockstep/process';
import { failureLine, failureOf, isErrorCode, makeFolderSync } from '@lockstep/base';
import { type UpConfig } from '@lockstep/config';
import type { Order, Outcome, Report } from '@lockstep/coordinator';
import { describeEnd, onceEnded, type ChildEnd } from './child-end.js';
import { LogFile } from './log-file.js';
import { describeNote, makeView, type View } from '../status/view.js';
import { firstLineOf, isWorthAnotherTry, wordsOf, workerChannelSchema, type WorkerEnd } from './worker-end.js';

/** Programs of this build, found once: what it was found by may be deleted later. */
const COORDINATOR = fileURLToPath(import.meta.resolve('@lockstep/coordinator/main'));
const WORKER = fileURLToPath(import.meta.resolve('@lockstep/worker/main'));
/** A process that died is started again after this pause, so that one that cannot start does not spin. Milliseconds. */
const RESTART_PAUSE_MS = 500;
/** After the run is over, workers have this long to leave by themselves. Milliseconds. */
const LEAVE_GRACE_MS = 5_000;
/** What changes the figures of the progress: without workers there is no rate. */
const PROGRESS: ReadonlySet<Report['note']['note']> = new Set(['committed', 'waiting']);

/** Codes of an end that no process gave a reason for, and of a defect of this one. */
const LOST = 'E_PROCESS_LOST';
const INTERNAL = 'E_INTERNAL';

export interface UpOptions {
  readonly out: string;
  /** One for each worker: what is added to its environment. */
  readonly places: readonly Readonly<Record<string, string>>[];
  readonly maxRestarts: number;
  readonly warningSignal: UpConfig['warningSignal'];
  /** Arguments of the coordinator process, without its port. */
  readonly coordinatorArgs: readonly string[];
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Whether any free one will do where this one is in use. */
  readonly otherPort: boolean;
  /** File for the timeline of all processes; null: none. */
  readonly trace: string | null;
  /** Arguments of each worker process, without its name and coordinator. */
  readonly workerArgs: readonly string[];
  /** Said at the start, a line each. */
  readonly about: readonly string[];
  /** Environment of the children. */
  readonly env: NodeJS.ProcessEnv;
  readonly stream: NodeJS.WriteStream;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicNow: () => number;
}

/** From the coordinator over the fork's channel. Reports are this build's own and are taken as they are. */
const channelSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('listening'), port: z.number().int() }),
  z.object({
    kind: z.literal('report'),
    report: z.custom<Report>((value) => typeof value === 'object' && value !== null),
  }),
  /** For a person, once at its start. */
  z.object({ kind: z.literal('told'), text: z.string() }),
  /** It cannot start; it ends right after. */
  z.object({ kind: z.literal('fatal'), code: z.string(), message: z.string() }),
]);

/** Runs until the training is over. Returns the exit status: 0 complete, 128 + n stopped by signal n, 1 failed. */
export async function up(options: UpOptions): Promise<number> {
  return new Supervisor(options).run();
}

/** What to say where a program that this run needs was deleted under it; null: it was not. */
function goneProgram(file: string): string | null {
  try {
    accessSync(file);
    return null;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) return null;
    return `E_BUILD_GONE: ${file} was deleted after this run began, so nothing can take its place; npm run setup, then go on with --resume`;
  }
}

class Supervisor {
  private readonly view: View;
  private readonly logs: string;
  private readonly traceParts = new Set<string>();
  private coordinator: ChildProcess | null = null;
  private readonly workers = new Map<string, ChildProcess>();
  private readonly restarts = new Map<string, number>();
  /** Workers that are started again after a pause. */
  private readonly restarting = new Set<string>();
  private readonly logFiles = new Map<string, LogFile>();
  /** What the coordinator said until it listened: before that nothing is written, as it may refuse to start. Then null. */
  private early: Buffer[] | null = [];
  /** Why the coordinator cannot start, in its words. */
  private fatal: { readonly code: string; readonly message: string } | null = null;
  /** Why the run was given up here: the last line, which begins with its code. */
  private lastWords: string | null = null;
  private port: number;
  private outcome: Outcome | null = null;
  private readonly judge: SignalJudge;
  /** What ends the training, if something does: the signal, and its name or another reason. */
  private stopping: { readonly signal: StopSignal; readonly reason: string } | null = null;
  private hungUp = false;
  /** Whether it was said what this run is. */
  private said = false;
  private finish: (status: number) => void = () => undefined;

  constructor(private readonly options: UpOptions) {
    this.view = makeView(options);
    this.logs = join(options.out, 'logs');
    this.port = options.port;
    this.judge = new SignalJudge({ warningSignal: options.warningSignal, hangupStops: hangupStops() });
  }

  async run(): Promise<number> {
    const leaveSignals = onStopSignals((signal) => this.signalled(signal));
    const leaveLaunchers = watchLaunchers(
      () => this.stop('SIGTERM', 'the npm or npx that started it is gone'),
      () => this.hungUp,
    );
    const onError = (error: unknown): void => this.crashed(error);
    process.on('uncaughtException', onError);
    try {
      return await new Promise<number>((resolve) => {
        this.finish = resolve;
        this.startCoordinator();
      });
    } finally {
      leaveLaunchers();
      leaveSignals();
      await this.joinTrace();
      process.off('uncaughtException', onError);
      if (this.lastWords !== null) this.view.line(this.lastWords);
      this.view.close();
      for (const file of this.logFiles.values()) file.close();
      if (this.stopping?.signal === 'SIGHUP') endByHangup();
    }
  }

  private startCoordinator(): void {
    this.fatal = null;
    const args = [...this.options.coordinatorArgs, '--host', this.options.host, '--port', String(this.port)];
    const child = this.start('coordinator', COORDINATOR, args);
    this.coordinator = child;
    // It stops in its own time: what the workers hold may be what no checkpoint has.
    if (this.stopping !== null) this.tell({ kind: 'stop', reason: this.stopping.reason });
    child.on('message', (raw) => {
      const message = channelSchema.parse(raw);
      if (message.kind === 'listening') {
        this.port = message.port;
        this.openLogs();
        this.view.line(
          `coordinator at ws://${this.address()}, metrics at http://${this.address()}/metrics, logs in ${this.logs}`,
        );
        if (!this.said) for (const line of this.options.about) this.view.line(line);
        this.said = true;
        this.options.places.forEach((place, index) => {
          if (!this.workers.has(`worker-${index}`)) this.startWorker(`worker-${index}`, place);
        });
      } else if (message.kind === 'report') {
        this.reported(message.report);
      } else if (message.kind === 'told') {
        this.view.line(message.text);
      } else {
        this.fatal = message;
      }
    });
    onceEnded(child, (end) => this.coordinatorEnded(end));
  }

  /** Of the coordinator, for this machine. */
  private address(): string {
    return `${hostInUrl(reachableHere(this.options.host))}:${this.port}`;
  }

  private startWorker(name: string, place: Readonly<Record<string, string>>): void {
    const args = [...this.options.workerArgs, '--name', name, '--coordinator', `ws://${this.address()}`];
    const child = this.start(name, WORKER, args, place);
    this.workers.set(name, child);
    let said: WorkerEnd | null = null;
    child.on('message', (raw) => (said = workerChannelSchema.parse(raw)));
    onceEnded(child, (end) => this.workerEnded(name, place, end, said));
  }

  private start(
    name: string,
    module: string,
    args: readonly string[],
    place: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const part = this.tracePart(name);
    // A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
    const child = fork(module, [...args, `--trace=${part ?? 'null'}`], {
      detached: true,
      env: { ...this.options.env, ...place },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const output of [child.stdout, child.stderr]) {
      output?.on('data', (chunk: Buffer) => this.log(name, chunk));
      // It ends with the child.
      output?.on('error', () => undefined);
    }
    return child;
  }

  /** Where a process writes its part of the timeline; the one that takes its place after its death adds to it. */
  private tracePart(name: string): string | null {
    const { trace } = this.options;
    if (trace === null) return null;
    // Not beside the timeline: that may be a device or lie where nothing else may be made.
    const part = join(this.logs, `trace-${name}.json`);
    if (!this.traceParts.has(part)) rmSync(part, { force: true });
    this.traceParts.add(part);
    return part;
  }

  private async joinTrace(): Promise<void> {
    const { trace } = this.options;
    if (trace === null) return;
    try {
      await joinTraces([...this.traceParts], trace);
      for (const part of this.traceParts) rmSync(part, { force: true });
      this.view.line(`timeline in ${trace}; open it at https://ui.perfetto.dev`);
    } catch (error) {
      this.view.line(
        `the timeline could not be written, its parts are ${join(this.logs, 'trace-*.json')}: ${failureLine(error)}`,
      );
    }
  }

  private log(name: string, chunk: Buffer): void {
    if (this.early !== null) this.early.push(chunk);
    else this.logFile(name).write(chunk);
  }

  private openLogs(): void {
    if (this.early === null) return;
    const said = this.early;
    this.early = null;
    try {
      makeFolderSync(this.logs);
    } catch {
      // The first log that is to be written there says so.
    }
    for (const chunk of said) this.log('coordinator', chunk);
  }

  /** One for each name, whatever the number of processes that bear it one after another. */
  private logFile(name: string): LogFile {
    const known = this.logFiles.get(name);
    if (known !== undefined) return known;
    const path = join(this.logs, `${name}.log`);
    const file = new LogFile({ path, monotonicNow: this.options.monotonicNow, warn: (text) => this.view.line(text) });
    this.logFiles.set(name, file);
    return file;
  }

  private reported(report: Report): void {
    const text = describeNote(report.note);
    if (report.note.note === 'over') {
      // Told to stop as the run was given up, it says that it was stopped.
      if (this.outcome !== null) return;
      this.outcome = report.note.outcome;
    }
    if (text !== null) this.view.line(text);
    if (PROGRESS.has(report.note.note)) this.view.progress(report.status);
  }

  private workerEnded(
    name: string,
    place: Readonly<Record<string, string>>,
    end: ChildEnd,
    said: WorkerEnd | null,
  ): void {
    this.workers.delete(name);
    if (this.outcome !== null || this.stopping !== null) return this.endIfAllLeft();
    const how = describeEnd(end, said === null ? null : wordsOf(said));
    const told = said === null ? `${LOST}: ${name} ${how}` : `${name} ${how}`;
    const restarts = this.restarts.get(name) ?? 0;
    const gone = goneProgram(WORKER);
    if (gone === null && isWorthAnotherTry(said, end) && restarts < this.options.maxRestarts) {
      this.restarts.set(name, restarts + 1);
      this.view.line(`${told}; starting it again (${restarts + 1} of ${this.options.maxRestarts})`);
      this.restarting.add(name);
      setTimeout(() => {
        this.restarting.delete(name);
        if (this.outcome === null && this.stopping === null) this.startWorker(name, place);
      }, RESTART_PAUSE_MS);
      return;
    }
    this.view.line(`${told}; ${gone ?? `its log is ${join(this.logs, `${name}.log`)}`}`);
    if (this.workers.size > 0 || this.restarting.size > 0) return;
    // What the last one could not go on by is what the run cannot go on by.
    if (said === null || said.status === 0) this.abandon(LOST, `no worker is left; see ${this.logs}`);
    else this.abandon(said.code, firstLineOf(said.reason));
  }

  private coordinatorEnded(end: ChildEnd): void {
    this.coordinator = null;
    if (this.outcome !== null) {
      setTimeout(() => this.killWorkers(), LEAVE_GRACE_MS).unref();
      return this.endIfAllLeft();
    }
    const how = describeEnd(end, null);
    const restarts = this.restarts.get('coordinator') ?? 0;
    // A status of its own is a considered end (bad config, no disk): only a kill is worth another try.
    const gone = goneProgram(COORDINATOR);
    if (gone === null && end.signal !== null && this.stopping === null && restarts < this.options.maxRestarts) {
      this.restarts.set('coordinator', restarts + 1);
      this.view.line(
        `${LOST}: the coordinator ${how}; starting it again (${restarts + 1} of ${this.options.maxRestarts})`,
      );
      setTimeout(() => {
        if (this.outcome === null) this.startCoordinator();
      }, RESTART_PAUSE_MS);
      return;
    }
    if (end.signal !== null && this.stopping !== null && this.early !== null) {
      // Nothing had begun that could be lost.
      const reason = `${this.stopping.reason}; no step was done`;
      this.view.line(`stopped: ${reason}`);
      this.outcome = { kind: 'stopped', code: 'STOPPED', reason };
      return this.endIfAllLeft();
    }
    if (this.early !== null) return this.notStarted(how, end, gone);
    const when = this.stopping === null ? '' : ' before it said that a checkpoint is written';
    const where = gone ?? `its log is ${join(this.logs, 'coordinator.log')}`;
    if (this.fatal === null) this.abandon(LOST, `the coordinator ${how}${when}; ${where}`);
    else this.abandon(this.fatal.code, this.fatal.message);
  }

  /** The coordinator ended before it listened, so there is no log to look into. */
  private notStarted(how: string, end: ChildEnd, gone: string | null): void {
    const { fatal } = this;
    if (fatal?.code === 'E_PORT_IN_USE' && this.options.otherPort && this.port !== 0) {
      this.view.line(`${fatal.code}: port ${this.port} is in use; taking any free one`);
      this.port = 0;
      this.early = [];
      this.startCoordinator();
      return;
    }
    if (fatal === null) {
      for (const line of Buffer.concat(this.early ?? [])
        .toString('utf8')
        .trimEnd()
        .split('\n'))
        this.view.line(line);
      return this.abandon(LOST, `the coordinator ${how} before it listened; ${gone ?? 'what it said is above'}`);
    }
    this.lastWords = `${fatal.code}: ${fatal.message}`;
    this.finish(end.status ?? 1);
  }

  private signalled(signal: StopSignal): void {
    const meaning = this.judge.judge(signal, this.options.monotonicNow());
    switch (meaning) {
      case 'stop':
        this.stop(signal, signal);
        break;
      case 'again':
        this.view.line(`${signal} again: stopping at once`);
        this.killWorkers();
        this.coordinator?.kill('SIGKILL');
        this.finish(statusOfSignal(signal));
        break;
      case 'checkpoint':
        if (this.tell({ kind: 'checkpoint' }))
          this.view.line(`${signal}: a checkpoint is asked for, and the training goes on`);
        else this.view.line(`${signal}: no coordinator is there that could write a checkpoint; the training goes on`);
        break;
      case 'hangup':
        this.hungUp = true;
        this.view.line(`${signal}: the terminal is gone; the training goes on, as its output is none`);
        break;
      case 'ignore':
        break;
      default:
        meaning satisfies never;
    }
  }

  private stop(signal: StopSignal, reason: string): void {
    if (this.stopping !== null) return;
    this.stopping = { signal, reason };
    this.view.line(`stopping: ${reason} (once more to stop at once)`);
    this.tell({ kind: 'stop', reason });
  }

  /** One that is being started again is told when it is there. */
  private tell(order: Order): boolean {
    if (this.coordinator?.connected !== true) return false;
    // That it has just ended is heard of soon.
    this.coordinator.send(order, () => undefined);
    return true;
  }

  private endIfAllLeft(): void {
    if (this.coordinator !== null || this.workers.size > 0) return;
    const { outcome, stopping } = this;
    if (outcome?.kind === 'complete') return this.finish(0);
    if (outcome?.kind !== 'stopped') return this.finish(1);
    const { asked } = outcome;
    // The coordinator may have been sent one that this process was not.
    this.finish(statusOfSignal(stopping?.signal ?? (asked !== undefined && isStopSignal(asked) ? asked : 'SIGTERM')));
  }

  private abandon(code: string, message: string): void {
    this.giveUp(code, message);
    this.killWorkers();
    this.coordinator?.kill('SIGTERM');
    this.endIfAllLeft();
  }

  /** `code` may be a worker's or the coordinator's own. */
  private giveUp(code: string, message: string): void {
    this.lastWords = `${code}: ${message}`;
    this.outcome = { kind: 'failed', code: isErrorCode(code) ? code : LOST, reason: this.lastWords };
  }

  /** A defect of this process must not leave others behind: they are told to stop, which keeps the last step. */
  private crashed(error: unknown): void {
    this.logFile('up').write(
      Buffer.from(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`),
    );
    const again = this.outcome?.code === INTERNAL;
    this.giveUp(
      INTERNAL,
      `an unexpected error in lockstep up: ${failureOf(error).message}; coordinator and workers were told to stop; where it ` +
        `happened is in ${join(this.logs, 'up.log')}; go on by --resume`,
    );
    if (again || this.coordinator === null) this.killWorkers();
    this.coordinator?.kill(again ? 'SIGKILL' : 'SIGTERM');
    if (again) this.finish(1);
    else this.endIfAllLeft();
  }

  private killWorkers(): void {
    for (const child of this.workers.values()) child.kill('SIGKILL');
  }
}
