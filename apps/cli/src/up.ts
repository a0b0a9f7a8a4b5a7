/**
 * `lockstep up`: one coordinator process and N worker processes on this machine. It starts them, shows what they report,
 * starts those that die again, and passes Ctrl-C on. It decides nothing about the training.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { accessSync, createWriteStream, mkdirSync, rmSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { joinTraces } from '@lockstep/checkpoint';
import { hostInUrl, reachableHere } from '@lockstep/comm';
import { failureLine } from '@lockstep/config';
import type { Outcome, Report } from '@lockstep/coordinator';
import { describeNote, makeView, type View } from './view.js';

/** Programs of this build, found once: what it was found by may be deleted later. */
const COORDINATOR = fileURLToPath(import.meta.resolve('@lockstep/coordinator/main'));
const WORKER = fileURLToPath(import.meta.resolve('@lockstep/worker/main'));
/** A process that died is started again after this pause, so that one that cannot start does not spin. Milliseconds. */
const RESTART_PAUSE_MS = 500;
/** After the run is over, workers have this long to leave by themselves. Milliseconds. */
const LEAVE_GRACE_MS = 5_000;
/** What changes the figures of the progress: without workers there is no rate. */
const PROGRESS: ReadonlySet<Report['note']['note']> = new Set(['committed', 'waiting']);
/** Exit status of a worker that the coordinator refused: starting it again would not help. */
const REFUSED_STATUS = 3;

export interface UpOptions {
  readonly out: string;
  /** One for each worker: what is added to its environment. */
  readonly places: readonly Readonly<Record<string, string>>[];
  readonly maxRestarts: number;
  /** Arguments of the coordinator process, without its port. */
  readonly coordinatorArgs: readonly string[];
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** File for the timeline of all processes; null: none. */
  readonly trace: string | null;
  /** Arguments of each worker process, without its name and coordinator. */
  readonly workerArgs: readonly string[];
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
  z.object({ kind: z.literal('fatal'), text: z.string() }),
]);

/** Runs until the training is over. Returns the exit status: 0 complete, 130 or 143 stopped by a signal, 1 failed. */
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
  private port: number;
  private outcome: Outcome | null = null;
  private signal: 'SIGINT' | 'SIGTERM' | null = null;
  private finish: (status: number) => void = () => undefined;

  constructor(private readonly options: UpOptions) {
    this.view = makeView(options.stream, options.monotonicNow);
    this.logs = join(options.out, 'logs');
    this.port = options.port;
  }

  async run(): Promise<number> {
    mkdirSync(this.logs, { recursive: true });
    const onSignal = (signal: NodeJS.Signals): void => this.interrupted(signal === 'SIGINT' ? 'SIGINT' : 'SIGTERM');
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    try {
      return await new Promise<number>((resolve) => {
        this.finish = resolve;
        this.startCoordinator();
      });
    } finally {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
      await this.joinTrace();
      this.view.close();
    }
  }

  private startCoordinator(): void {
    const args = [...this.options.coordinatorArgs, '--host', this.options.host, '--port', String(this.port)];
    const child = this.start('coordinator', COORDINATOR, args);
    this.coordinator = child;
    child.on('message', (raw) => {
      const message = channelSchema.parse(raw);
      if (message.kind === 'listening') {
        this.port = message.port;
        this.view.line(
          `coordinator at ws://${this.address()}, metrics at http://${this.address()}/metrics, logs in ${this.logs}`,
        );
        this.options.places.forEach((place, index) => {
          if (!this.workers.has(`worker-${index}`)) this.startWorker(`worker-${index}`, place);
        });
      } else if (message.kind === 'report') {
        this.reported(message.report);
      } else {
        this.view.line(message.text);
      }
    });
    child.on('exit', (code, signal) => this.coordinatorEnded(code, signal));
  }

  /** Of the coordinator, for this machine. */
  private address(): string {
    return `${hostInUrl(reachableHere(this.options.host))}:${this.port}`;
  }

  private startWorker(name: string, place: Readonly<Record<string, string>>): void {
    const args = [...this.options.workerArgs, '--name', name, '--coordinator', `ws://${this.address()}`];
    const child = this.start(name, WORKER, args, place);
    this.workers.set(name, child);
    child.on('exit', (code, signal) => this.workerEnded(name, place, code, signal));
  }

  private start(
    name: string,
    module: string,
    args: readonly string[],
    place: Readonly<Record<string, string>> = {},
  ): ChildProcess {
    const log = this.logFile(name);
    const part = this.tracePart(name);
    // A session of its own: Ctrl-C reaches this process alone, which then stops the others in order.
    const child = fork(module, [...args, `--trace=${part ?? 'null'}`], {
      detached: true,
      env: { ...this.options.env, ...place },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child.stdout?.pipe(log);
    child.stderr?.pipe(log);
    child.on('error', (error) => {
      this.view.line(`${name} could not be started: ${error.message}`);
      // Of a process that there never was, no end is told.
      if (child.pid === undefined) child.emit('exit', 1, null);
    });
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

  private logFile(name: string): WriteStream {
    return createWriteStream(join(this.logs, `${name}.log`), { flags: 'a' });
  }

  private reported(report: Report): void {
    const text = describeNote(report.note);
    if (text !== null) this.view.line(text);
    if (report.note.note === 'over') this.outcome = report.note.outcome;
    if (PROGRESS.has(report.note.note)) this.view.progress(report.status);
  }

  private workerEnded(
    name: string,
    place: Readonly<Record<string, string>>,
    code: number | null,
    signal: NodeJS.Signals | null,
  ): void {
    this.workers.delete(name);
    if (this.outcome !== null || this.signal !== null) return this.endIfAllLeft();
    const how = signal === null ? `ended with status ${code ?? '?'}` : `was killed by ${signal}`;
    const restarts = this.restarts.get(name) ?? 0;
    const gone = goneProgram(WORKER);
    if (gone === null && code !== REFUSED_STATUS && restarts < this.options.maxRestarts) {
      this.restarts.set(name, restarts + 1);
      this.view.line(`${name} ${how}; starting it again (${restarts + 1} of ${this.options.maxRestarts})`);
      setTimeout(() => {
        if (this.outcome === null && this.signal === null) this.startWorker(name, place);
      }, RESTART_PAUSE_MS);
      return;
    }
    this.view.line(`${name} ${how}; ${gone ?? `its log is ${join(this.logs, `${name}.log`)}`}`);
    if (this.workers.size === 0) this.abandon(`no worker is left; see ${this.logs}`);
  }

  private coordinatorEnded(code: number | null, signal: NodeJS.Signals | null): void {
    this.coordinator = null;
    if (this.outcome !== null) {
      setTimeout(() => this.killWorkers(), LEAVE_GRACE_MS).unref();
      return this.endIfAllLeft();
    }
    const how = signal === null ? `ended with status ${code ?? '?'}` : `was killed by ${signal}`;
    const restarts = this.restarts.get('coordinator') ?? 0;
    // A status of its own is a considered end (bad config, no disk): only a kill is worth another try.
    const gone = goneProgram(COORDINATOR);
    if (gone === null && signal !== null && this.signal === null && restarts < this.options.maxRestarts) {
      this.restarts.set('coordinator', restarts + 1);
      this.view.line(`the coordinator ${how}; starting it again (${restarts + 1} of ${this.options.maxRestarts})`);
      setTimeout(() => {
        if (this.outcome === null) this.startCoordinator();
      }, RESTART_PAUSE_MS);
      return;
    }
    this.abandon(`the coordinator ${how}; ${gone ?? `its log is ${join(this.logs, 'coordinator.log')}`}`);
  }

  private interrupted(signal: 'SIGINT' | 'SIGTERM'): void {
    if (this.signal !== null) {
      this.view.line('stopping at once');
      this.killWorkers();
      this.coordinator?.kill('SIGKILL');
      this.finish(signal === 'SIGINT' ? 130 : 143);
      return;
    }
    this.signal = signal;
    this.view.line(
      'stopping: the last step is kept in a checkpoint (once more to stop at once); go on later with --resume',
    );
    if (this.coordinator === null) this.abandon('stopped before the coordinator was up');
    else this.coordinator.kill('SIGTERM');
  }

  private endIfAllLeft(): void {
    if (this.coordinator !== null || this.workers.size > 0) return;
    const { outcome } = this;
    const wanted = this.signal !== null && (outcome?.kind !== 'failed' || outcome.code === 'E_PROCESS_LOST');
    if (outcome?.kind === 'complete') this.finish(0);
    else if (wanted) this.finish(this.signal === 'SIGINT' ? 130 : 143);
    else this.finish(1);
  }

  private abandon(reason: string): void {
    this.view.line(`E_PROCESS_LOST: ${reason}`);
    this.outcome = { kind: 'failed', code: 'E_PROCESS_LOST', reason };
    this.killWorkers();
    this.coordinator?.kill('SIGTERM');
    this.endIfAllLeft();
  }

  private killWorkers(): void {
    for (const child of this.workers.values()) child.kill('SIGKILL');
  }
}
