/** The coordinator process of the simulation: the production edge and decisions, on virtual ports; and what must be true of it. */
import {
  HEARTBEATS_PER_TIMEOUT,
  timeoutsFrom,
  type CoordinatorMessage,
  type Pipe,
  type PipeEvents,
  type WorkerMessage,
} from '@lockstep/comm';
import { Coordinator, type Door, type Note, type Outcome, type Settings } from '@lockstep/coordinator';
import { CHECKPOINT_EVERY, HEARTBEAT_TIMEOUT_MS, MICROBATCHES, STEPS, type Cluster, type Options } from './cluster.js';
import type { Connection } from './network.js';
import { FIGURE, SEED_DIGEST, stepFigure } from './numerics.js';
import { SimulatedProcess } from './process.js';
import { VirtualLedger, virtualStore } from './virtual-disk.js';

/** The production settings of a run with these options. */
export function settingsOf(options: Options): Settings {
  return {
    run: 'sim',
    runSettings: {
      task: { module: 'diffusion', code: { version: '1' } },
      data: 'mnist',
      seed: 0,
      recipe: {},
      wire: 'int32',
      arithmetic: 2,
      engine: 'tensorflow',
      checkpointEvery: CHECKPOINT_EVERY,
      dataDigest: SEED_DIGEST,
    },
    steps: STEPS,
    microbatches: MICROBATCHES,
    checkpointEvery: CHECKPOINT_EVERY,
    minWorkers: options.minWorkers,
    heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
    auditRate: options.auditRate,
    numerics: 'strict',
    nonFinite: options.nonFinite,
    figures: [FIGURE],
    tiersFrom: options.tiersFrom,
  };
}

const timeouts = timeoutsFrom(HEARTBEAT_TIMEOUT_MS);
/** A worker from which nothing came at so many of the coordinator's heartbeats, two timeouts, has not been noticed. */
const MOST_BEATS_UNHEARD = 2 * HEARTBEATS_PER_TIMEOUT;
/** A connection that should be closed may have been about to say hello, or not be known to be silent. Milliseconds. */
const KEPT_MS = 2 * HEARTBEAT_TIMEOUT_MS;
/** A ready worker that stays out of so many commits in a row is forgotten. */
const MOST_COMMITS_APART = 4;
/** Connections that are being closed by an end that comes are given so long. Milliseconds. */
const CLOSE_GRACE_MS = 1_000;

/** Messages about a step, which are of one generation only. */
const STEPPING: ReadonlySet<WorkerMessage['type']> = new Set([
  'early',
  'gradient',
  'loaded',
  'applied',
  'broken',
  'unable',
]);

type Accept = (pipe: Pipe<CoordinatorMessage>) => PipeEvents<WorkerMessage>;

export class CoordinatorNode extends SimulatedProcess {
  private readonly coordinator: Coordinator;
  /** Connections that were taken in. */
  private readonly connections = new Set<Connection>();
  /** Those that should be closed, by since when. */
  private readonly kept = new Map<Connection, number>();
  private takeIn: Accept | null = null;
  /** Heartbeats since each worker process was heard. */
  private readonly unheard = new Map<string, number>();
  /** Messages of older generations that it has heard and not dropped. */
  private readonly stale: string[] = [];
  /** Commits that each worker has been ready for without being in the ring. */
  private readonly apart = new Map<string, number>();

  constructor(cluster: Cluster) {
    super('coordinator', cluster);
    const { disk, world } = cluster;
    // One of a step that the ledger does not know is left alone, as the production edge does.
    const checkpoint = disk.checkpoints.filter(({ step }) => step <= disk.entries.length).at(-1) ?? null;
    const recovered = {
      committed: disk.entries.length,
      generation: disk.generation,
      checkpoint,
      numerics: disk.numerics,
      reproducible: true,
    };
    const store = virtualStore(this);
    this.coordinator = new Coordinator(
      { recovered, settings: settingsOf(cluster.options), startDigest: SEED_DIGEST },
      {
        clocks: this.clocks,
        timers: this.clock,
        door: this.door(),
        ledger: new VirtualLedger(this),
        publishing: {
          store,
          incidents: { publish: () => this.wait(0, 50) },
          fetchState: (url, wanted) => cluster.fetchState(this, url, wanted),
          table: [],
          layout: '',
          model: null,
          keepCheckpoints: STEPS,
        },
        watcher: {
          decided: () => undefined,
          told: (note) => this.told(note),
          ending: () => undefined,
        },
      },
    );
    cluster.coordinator = this;
    world.say('coordinator', `starts with ${disk.entries.length} steps, checkpoint ${checkpoint?.step ?? 'none'}`);
    this.coordinator.start();
    this.observe();
    void this.coordinator.finished.then((outcome) => this.ended(outcome));
  }

  /** `losing`: the disk had not kept its last write, though it said so. */
  crash(losing = false): void {
    this.alive = false;
    this.say(losing ? 'killed, and its last write is lost' : 'killed');
    if (losing && this.cluster.disk.undo !== null) {
      this.cluster.disk.undo();
      this.cluster.notes.set('write-lost', 1);
    }
    this.cluster.disk.undo = null;
    for (const { coordinatorEnd } of this.connections) coordinatorEnd?.vanish();
  }

  /** It gets SIGTERM, or a warning for which it writes a checkpoint. */
  signalled(happening: 'stopRequested' | 'checkpointRequested'): void {
    this.post(() => {
      this.say(happening);
      if (happening === 'stopRequested') this.coordinator.stop('SIGTERM');
      else this.coordinator.checkpoint();
    });
  }

  /** A connection has come. Null: none is taken in any more. */
  accept(connection: Connection): PipeEvents<WorkerMessage> | null {
    const { coordinatorEnd } = connection;
    if (this.takeIn === null || coordinatorEnd === null) return null;
    this.connections.add(connection);
    return this.takeIn(coordinatorEnd);
  }

  /** A worker process is about to be heard. */
  hears({ instance, coordinatorEnd }: Connection, message: WorkerMessage): void {
    this.unheard.delete(instance);
    const { phase, generation, workers } = this.coordinator.state;
    if (!STEPPING.has(message.type) || !('generation' in message) || message.generation >= generation) return;
    const view = [...workers.values()].find((each) => each.instance === instance);
    const isCurrent = this.open.filter((each) => each.instance === instance).at(-1)?.coordinatorEnd === coordinatorEnd;
    if (view === undefined || !isCurrent || coordinatorEnd?.open !== true || phase.kind === 'over') return;
    this.stale.push(`${view.id}'s ${message.type} of generation ${message.generation}`);
  }

  /** What is said is looked at. */
  says(message: CoordinatorMessage): void {
    const { cluster } = this;
    const { entries, generation } = cluster.disk;
    if ((message.type === 'reduce' || message.type === 'sum') && message.step > entries.length)
      cluster.violation(`step ${message.step} is given out before the step before it is on disk`);
    if (message.type === 'plan' && message.generation > generation)
      cluster.violation(`generation ${message.generation} is given out before it is on disk`);
    if (message.type === 'sum') {
      cluster.note('early-sum');
      if (cluster.options.inOnePiece) cluster.violation('the early bucket is to be summed where there is none');
    }
    if (message.type === 'refuse' && message.retryMs !== undefined) cluster.note('name-taken');
  }

  /** A connection that is neither closed nor any worker's, nor the newest one of its worker, is not kept for long. */
  private lookForKept(): void {
    const now = this.clock.now();
    const instances = new Set([...this.coordinator.state.workers.values()].map(({ instance }) => instance));
    const newest = new Map(this.open.map((connection) => [connection.instance, connection]));
    for (const connection of this.open) {
      const { instance, coordinatorEnd } = connection;
      const wanted = instances.has(instance) && newest.get(instance) === connection;
      const since = wanted || coordinatorEnd?.open !== true ? null : (this.kept.get(connection) ?? now);
      if (since === null) this.kept.delete(connection);
      else this.kept.set(connection, since);
      if (since !== null && now - since > KEPT_MS)
        this.cluster.violation('the coordinator keeps a connection of nobody');
    }
  }

  private door(): Door {
    return {
      open: (accept) => (this.takeIn = accept),
      close: async (reason) => {
        this.takeIn = null;
        const until = this.clock.now() + CLOSE_GRACE_MS;
        for (const { coordinatorEnd } of this.connections) coordinatorEnd?.close(1001, reason);
        while (this.open.length > 0 && this.clock.now() < until) await this.wait(10);
        for (const { coordinatorEnd } of this.open) coordinatorEnd?.terminate();
        await this.wait(1);
      },
    };
  }

  private get open(): Connection[] {
    return [...this.connections].filter(({ coordinatorEnd }) => coordinatorEnd?.gone === false);
  }

  private told(note: Note): void {
    this.say(note);
    if (note.note === 'dropped') {
      const place = this.stale.indexOf(`${note.worker}'s ${note.type} of generation ${note.generation}`);
      if (place >= 0) this.stale.splice(place, 1);
    }
    if (note.note === 'committed') {
      this.lookForForgotten();
      this.check(note);
    }
    this.cluster.note(note.note);
  }

  private ended({ kind, code, reason }: Outcome): void {
    const { cluster } = this;
    this.leavesNothing(this.open.length);
    if (this.stale[0] !== undefined) cluster.violation(`the coordinator takes ${this.stale[0]}`);
    this.alive = false;
    cluster.outcome = `${kind} ${code} ${reason}`;
    cluster.world.end();
  }

  /** A figure that is shown of a step is that of its state; that of a step that another generation finished is not known. */
  private check({ step, skipped, figures: { [FIGURE]: shown } }: Extract<Note, { note: 'committed' }>): void {
    const { truth } = this.cluster;
    if (shown === undefined) return;
    if (skipped || shown !== stepFigure(truth[step] ?? '', step, MICROBATCHES))
      this.cluster.violation(`the figure of step ${step} is shown as ${shown}`);
    this.cluster.note('figure');
  }

  /** No live worker waits for ever. */
  private lookForForgotten(): void {
    const { workers, ranks } = this.coordinator.state;
    for (const view of workers.values()) {
      const waiting = view.have !== null && !view.leaving && !ranks.has(view.id);
      const commits = waiting ? (this.apart.get(view.id) ?? 0) + 1 : 0;
      this.apart.set(view.id, commits);
      if (commits > MOST_COMMITS_APART)
        this.cluster.violation(`${view.id} is ready, but in no ring for ${commits} steps`);
    }
  }

  /** Whatever the clocks show, a worker that says nothing is lost soon. */
  private observe(): void {
    this.cluster.world.after(timeouts.heartbeatIntervalMs, () =>
      this.post(() => {
        for (const { id, instance } of this.coordinator.state.workers.values()) {
          const beats = (this.unheard.get(instance) ?? 0) + 1;
          this.unheard.set(instance, beats);
          if (beats > MOST_BEATS_UNHEARD)
            this.cluster.violation(`the coordinator does not notice that ${id} is silent`);
        }
        this.lookForKept();
        this.observe();
      }),
    );
  }
}
