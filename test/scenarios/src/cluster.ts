/**
 * A run of real processes: one coordinator, some workers, and a supervisor that starts again what was killed. Decides
 * nothing about training and injects nothing: the faults do that.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Part, type Launch } from './part.js';
import { LOCAL } from './local.js';
import { freePort } from './proxy.js';
import { Timeline, channelSchema, type Report, type Told } from './timeline.js';

const program = (path: string): string => fileURLToPath(new URL(`../../../apps/${path}`, import.meta.url));
export const COORDINATOR = program('coordinator/dist/main.js');
export const WORKER = program('worker/dist/main.js');
export const CLI = program('cli/dist/main.js');

/** The one timeout knob, short, so that what is measured is not waiting. Milliseconds. */
export const HEARTBEAT_TIMEOUT_MS = 1_000;
/** The same where nothing is measured and silence is not what is injected: nobody who is only slow is lost. Milliseconds. */
export const PATIENT_TIMEOUT_MS = 600_000;
/** More steps than the fastest machine does: a run goes on until it is stopped. */
const ENDLESS = 1_000_000_000;
/** What has not happened by then never will, on the slowest machine too. Milliseconds. */
const HANG_MS = 1_800_000;
/** After the run is over, workers have this long to leave by themselves. Milliseconds. */
const LEAVE_LIMIT_MS = 5_000;
/** More restarts than any fault causes: a process that dies at each start must not go on for ever. */
const MAX_RESTARTS = 120;
/** Exit status of a worker that the coordinator refused: `lockstep up` does not start it again either. */
const REFUSED_STATUS = 3;
/** What a failure shows of each process, and of how many that had ended. */
const SHOWN_LINES = 12;
const SHOWN_ENDED = 3;

/** All that decides the weights, but for the number of steps: a run goes on until it is stopped. */
export interface Recipe {
  readonly globalBatch: number;
  readonly microbatchSize: number;
  readonly seed: number;
}

/** Parts of a Launch that a fault may set. */
export type Variant = Partial<Pick<Launch, 'prefix' | 'script' | 'env' | 'onLine'>> & {
  readonly args?: readonly string[];
};

export interface WorkerPlace {
  readonly name: string;
  /** Where it listens, on LOCAL. */
  readonly port: number;
  readonly coordinatorPort: number;
}

export interface Layout {
  readonly recipe: Recipe;
  readonly workers: number;
  readonly checkpointEvery: number;
  readonly heartbeatTimeoutMs: number;
  /** `life` counts the coordinator's starts from 0. */
  readonly coordinator?: (life: number) => Variant;
  readonly worker?: (place: WorkerPlace) => Variant;
  /** The run directory; by default one in a folder of its own. */
  readonly out?: string;
  /** Runs what reads the run directory in the place where it can be seen. */
  readonly readerPrefix?: readonly string[];
}

export interface CoordinatorEnd {
  readonly at: number;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Waiter {
  readonly check: () => void;
}

export class Cluster {
  readonly timeline = new Timeline();
  readonly out: string;
  /** How the coordinator's lives ended, oldest first. */
  readonly coordinatorEnds: CoordinatorEnd[] = [];
  private readonly folder: string;
  private coordinator: Part | null = null;
  private readonly parts = new Map<string, Part>();
  private readonly places = new Map<string, WorkerPlace>();
  private readonly waiters = new Set<Waiter>();
  private lives = 0;
  private restarts = 0;
  private trouble: string | null = null;
  private closing = false;

  private constructor(
    readonly layout: Layout,
    private readonly port: number,
  ) {
    this.folder = mkdtempSync(join(tmpdir(), 'lockstep-chaos-'));
    folders.add(this.folder);
    this.out = layout.out ?? join(this.folder, 'run');
  }

  static async start(layout: Layout): Promise<Cluster> {
    const cluster = new Cluster(layout, await freePort());
    for (let index = 0; index < layout.workers; index++) await cluster.place(`worker-${index}`);
    cluster.startAll();
    return cluster;
  }

  /** Starts what does not run: at first, and after the run stopped by itself. */
  startAll(): void {
    if (this.coordinator === null) this.startCoordinator();
    for (const name of this.places.keys()) if (!this.parts.has(name)) this.startWorker(name);
  }

  /** One more worker. */
  async addWorker(name: string): Promise<void> {
    await this.place(name);
    this.startWorker(name);
  }

  /** It leaves by itself, and stays away. */
  async removeWorker(name: string): Promise<void> {
    const part = this.worker(name);
    this.places.delete(name);
    part.signal('SIGTERM');
    await this.until(`${name} leaves`, () => (part.running ? undefined : true));
  }

  get names(): string[] {
    return [...this.parts.keys()];
  }

  worker(name: string): Part {
    const part = this.parts.get(name);
    if (part === undefined) throw new Error(`${name} does not run`);
    return part;
  }

  private async place(name: string): Promise<void> {
    this.places.set(name, { name, port: await freePort(), coordinatorPort: this.port });
  }

  placeOf(name: string): WorkerPlace {
    const place = this.places.get(name);
    if (place === undefined) throw new Error(`there is no ${name}`);
    return place;
  }

  signalCoordinator(signal: NodeJS.Signals): void {
    this.coordinator?.signal(signal);
  }

  /** Generation of the newest report. */
  get generation(): number {
    return this.timeline.last?.status.generation ?? 0;
  }

  /** Steps that were committed when the coordinator's present life, or its last one, said that it stops; null: it did not. */
  private stoppedAt: number | null = null;

  // ---- waiting -------------------------------------------------------------------------------------------------------

  /**
   * Resolves with what `find` finds, looking after each thing that happens.
   * @throws Error with the last log lines if the run fails before, or hangs
   */
  async until<T>(what: string, find: () => T | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const done = (settle: () => void): void => {
        clearTimeout(timer);
        this.waiters.delete(waiter);
        settle();
      };
      const check = (): void => {
        const found = find();
        if (found !== undefined) done(() => resolve(found));
        else if (this.trouble !== null)
          done(() => reject(new Error(`${this.trouble ?? ''}, before ${what}\n${this.lastLines()}`)));
      };
      const timer = setTimeout(
        () => done(() => reject(new Error(`waited ${HANG_MS} ms in vain until ${what}\n${this.lastLines()}`))),
        HANG_MS,
      );
      const waiter = { check };
      this.waiters.add(waiter);
      check();
    });
  }

  /**
   * So many workers are in the ring, and a step was committed since; by default all that are meant to be there, which one that
   * was refused is not any more as soon as its process has ended.
   */
  async whole(workers?: number): Promise<void> {
    const since = await this.until(`${workers ?? 'all'} workers are in the ring`, () => {
      const last = this.timeline.last;
      const inRing = last?.status.workers.filter((worker) => worker.inRing).length ?? 0;
      return last !== undefined && inRing === (workers ?? this.places.size) ? last.at : undefined;
    });
    await this.until('they commit a step', () => this.timeline.newCommit(since));
  }

  /** Seconds from `at` to the first new step committed in a generation above `generation`. */
  async secondsToCommit(at: number, generation = -1): Promise<number> {
    const commit = await this.until('the next step is committed', () => this.timeline.newCommit(at, generation));
    return (commit.at - at) / 1000;
  }

  /** So many more commits. */
  async commits(count: number): Promise<void> {
    const wanted = this.timeline.commits().length + count;
    await this.until(`${count} more steps are committed`, () =>
      this.timeline.commits().length >= wanted ? true : undefined,
    );
  }

  async note(what: string, since: number, matches: (note: Report['note']) => boolean): Promise<Report> {
    return this.until(what, () => this.timeline.find(since, matches));
  }

  /** The run ended by itself: the coordinator has ended and the workers have left. */
  async ended(): Promise<void> {
    while (this.coordinator !== null) await this.coordinator.ended;
    await Promise.all([...this.parts.values()].map((part) => part.endsWithin(LEAVE_LIMIT_MS)));
  }

  /** Ends the run as Ctrl-C does, with a checkpoint of its last step, until `startAll`. Resolves with the number of steps that were done. */
  async stop(): Promise<number> {
    // A coordinator that has just been started does not listen to signals yet.
    await this.commits(1);
    this.signalCoordinator('SIGTERM');
    const steps = await this.until('the run stops', () => this.stoppedAt ?? undefined);
    await this.until('its coordinator ends', () => (this.coordinator === null ? true : undefined));
    // A worker that had no connection in that moment looks for a coordinator for long; `lockstep up` ends it, too.
    await Promise.all(
      [...this.parts.values()].map(async (part) => {
        if (!(await part.endsWithin(LEAVE_LIMIT_MS))) await part.kill();
      }),
    );
    return steps;
  }

  lastLines(): string {
    const parts = [this.coordinator, ...this.parts.values()].filter((part) => part !== null);
    return [...this.buried.slice(-SHOWN_ENDED), ...parts]
      .flatMap(({ launch, lines }) => lines.slice(-SHOWN_LINES).map((line) => `  ${launch.name}: ${line}`))
      .join('\n');
  }

  /** Lines of every life of a part, oldest first. */
  linesOf(name: string): string[] {
    const lives = [...this.buried.filter(({ launch }) => launch.name === name), this.parts.get(name)];
    return lives.flatMap((part) => part?.lines ?? []);
  }

  /** Kills what runs and removes the folder. */
  async close(): Promise<void> {
    this.closing = true;
    const running = [this.coordinator, ...this.parts.values()].filter((part) => part !== null);
    await Promise.all(running.map((part) => part.kill()));
    rmSync(this.folder, { recursive: true, force: true });
    folders.delete(this.folder);
  }

  // ---- the supervisor ------------------------------------------------------------------------------------------------

  /** Parts that ended, the newest few. */
  private readonly buried: Part[] = [];

  private startCoordinator(): void {
    const { recipe, checkpointEvery, heartbeatTimeoutMs } = this.layout;
    const variant = this.layout.coordinator?.(this.lives) ?? {};
    this.lives += 1;
    this.trouble = null;
    this.stoppedAt = null;
    this.coordinator = new Part({
      ...variant,
      name: 'coordinator',
      script: variant.script ?? COORDINATOR,
      args: [
        ...['--preset', 'tiny', '--steps', String(ENDLESS), '--seed', String(recipe.seed)],
        ...['--global-batch', String(recipe.globalBatch), '--microbatch-size', String(recipe.microbatchSize)],
        ...['--heartbeat-timeout-ms', String(heartbeatTimeoutMs), '--checkpoint-every', String(checkpointEvery)],
        ...['--host', LOCAL, '--port', String(this.port), '--out', this.out],
        ...(variant.args ?? []),
      ],
      onMessage: (raw) => {
        const message = channelSchema.parse(raw);
        if (message.kind === 'report') this.reported(message.report);
        this.happened();
      },
      onExit: (status, signal) => this.coordinatorEnded(status, signal),
    });
  }

  private startWorker(name: string): void {
    const place = this.placeOf(name);
    const variant = this.layout.worker?.(place) ?? {};
    const part = new Part({
      ...variant,
      name,
      script: variant.script ?? WORKER,
      // A later flag of the same name wins.
      args: [
        ...['--name', name, '--host', LOCAL, '--port', String(place.port)],
        ...['--coordinator', `ws://${LOCAL}:${this.port}`],
        ...(variant.args ?? []),
      ],
      onExit: (status, signal) => this.workerEnded(name, status, signal),
    });
    this.parts.set(name, part);
  }

  private reported(report: Told): void {
    this.timeline.add(report, performance.now());
    if (report.note.outcome?.kind === 'stopped') this.stoppedAt = report.status.step;
  }

  private coordinatorEnded(status: number | null, signal: NodeJS.Signals | null): void {
    if (this.coordinator !== null) this.bury(this.coordinator);
    this.coordinator = null;
    this.coordinatorEnds.push({ at: performance.now(), status, signal });
    // A status of its own is a considered end: only a kill is worth another try.
    if (signal !== null) this.again('the coordinator', () => this.startCoordinator());
    else if (this.stoppedAt === null) this.happened(`the coordinator ended with status ${status ?? '?'}`);
    this.happened();
  }

  private workerEnded(name: string, status: number | null, signal: NodeJS.Signals | null): void {
    const part = this.parts.get(name);
    if (part !== undefined) this.bury(part);
    this.parts.delete(name);
    if (status === REFUSED_STATUS) this.places.delete(name);
    else if (status !== 0 || signal !== null) this.again(name, () => this.startWorker(name));
    this.happened();
  }

  private again(who: string, start: () => void): void {
    if (this.closing || this.stoppedAt !== null) return;
    this.restarts += 1;
    if (this.restarts > MAX_RESTARTS) this.happened(`${who} ended for the ${this.restarts}th time`);
    else start();
  }

  private bury(part: Part): void {
    this.buried.push(part);
    if (this.buried.length > MAX_RESTARTS) this.buried.shift();
  }

  private happened(trouble: string | null = null): void {
    this.trouble ??= trouble;
    for (const waiter of [...this.waiters]) waiter.check();
  }
}

/** Folders of runs under way: removed when this process ends, however it ends. */
const folders = new Set<string>();
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
