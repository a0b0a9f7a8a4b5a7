/** The coordinator process of the simulation: the real core, a pretended disk, and the edge's rules about connections. */
import { timeoutsFrom, type WorkerMessage } from '@lockstep/comm';
import {
  Decisions,
  entryOf,
  nameTaken,
  type CoordinatorEffect,
  type CoordinatorHappening,
  type Settings,
} from '@lockstep/coordinator';
import {
  CHECKPOINT_EVERY,
  HEARTBEAT_TIMEOUT_MS,
  MICROBATCHES,
  STEPS,
  type Cluster,
  type Connection,
  type Options,
} from './cluster.js';
import { SEED_DIGEST, samplesOf } from './numerics.js';
import { SimulatedProcess } from './process.js';

/** The production settings of a run with these options. */
export function settingsOf(options: Options): Settings {
  return {
    run: 'sim',
    runSettings: {
      data: 'mnist',
      seed: 0,
      recipe: {},
      wire: 'int32',
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
    tiersFrom: options.tiersFrom,
  };
}

const timeouts = timeoutsFrom(HEARTBEAT_TIMEOUT_MS);
/** A worker from which nothing came for so many ticks of the coordinator, two timeouts, has not been noticed. */
const MOST_TICKS_UNHEARD = (2 * HEARTBEAT_TIMEOUT_MS) / timeouts.coordinatorTickMs;
/** A ready worker that stays out of so many commits in a row is forgotten. */
const MOST_COMMITS_APART = 4;

export class CoordinatorNode extends SimulatedProcess {
  private readonly decisions: Decisions;
  private readonly connections = new Map<string, Connection>();
  private readonly pending: CoordinatorEffect[] = [];
  private performing = false;
  private readonly durable = {
    digestOf: (step: number): string | null =>
      step === 0 ? SEED_DIGEST : (this.cluster.disk.entries[step - 1]?.digest ?? null),
  };
  /** Writes reach the disk in order. */
  private diskFree = 0;

  /** Ticks since each worker was heard. */
  private readonly unheard = new Map<string, number>();
  /** Commits that each worker has been ready for without being in the ring. */
  private readonly apart = new Map<string, number>();

  constructor(cluster: Cluster) {
    super('coordinator', cluster);
    const settings = settingsOf(cluster.options);
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
    this.decisions = new Decisions({ recovered, settings, durable: this.durable, clocks: this.clocks });
    cluster.coordinator = this;
    world.say('coordinator', `starts with ${disk.entries.length} steps, checkpoint ${checkpoint?.step ?? 'none'}`);
    this.tick();
    this.beat();
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
    for (const connection of this.connections.values()) connection.close();
  }

  /** It gets SIGTERM, or a warning for which it writes a checkpoint. */
  signalled(happening: 'stopRequested' | 'checkpointRequested'): void {
    this.post(() => {
      this.say(happening);
      this.dispatch(happening === 'stopRequested' ? { type: happening, reason: 'SIGTERM' } : { type: happening });
    });
  }

  received(connection: Connection, message: WorkerMessage): void {
    if (message.type === 'hello') {
      const taken = nameTaken(this.decisions.state, message, HEARTBEAT_TIMEOUT_MS);
      if (taken !== null) {
        this.cluster.notes.set('name-taken', (this.cluster.notes.get('name-taken') ?? 0) + 1);
        connection.down({ type: 'refuse', ...taken });
        connection.closeAfterSent();
        return;
      }
      this.unheard.delete(message.worker);
      const earlier = this.connections.get(message.worker);
      this.connections.set(message.worker, connection);
      if (earlier !== undefined && earlier !== connection) earlier.close();
      this.dispatch({
        type: 'hello',
        worker: message.worker,
        instance: message.instance,
        host: message.host,
        port: message.port,
        local: message.local ?? null,
        run: message.run,
      });
    } else if (this.connections.get(connection.worker.id) === connection) {
      this.unheard.delete(connection.worker.id);
      this.dispatch({ type: 'message', worker: connection.worker.id, message });
    }
  }

  disconnected(connection: Connection): void {
    if (this.connections.get(connection.worker.id) !== connection) return;
    this.connections.delete(connection.worker.id);
    this.dispatch({
      type: 'gone',
      worker: connection.worker.id,
      reason: 'its connection closed',
    });
  }

  private dispatch(happening: CoordinatorHappening): void {
    if (!this.alive) return;
    this.pending.push(...this.decisions.take(happening));
    if (!this.performing) this.perform();
  }

  private perform(): void {
    this.performing = true;
    for (let effect = this.pending.shift(); effect !== undefined; effect = this.pending.shift()) {
      if (effect.type === 'recordGeneration') {
        const { generation } = effect;
        this.onDisk(() => {
          const { disk } = this.cluster;
          const before = disk.generation;
          disk.generation = generation;
          disk.undo = () => (disk.generation = before);
          this.perform();
        });
        return;
      }
      this.performOne(effect);
    }
    this.performing = false;
  }

  private performOne(effect: Exclude<CoordinatorEffect, { type: 'recordGeneration' }>): void {
    const { cluster } = this;
    switch (effect.type) {
      case 'send':
        if (
          (effect.message.type === 'reduce' || effect.message.type === 'sum') &&
          effect.message.step > cluster.disk.entries.length
        )
          cluster.violation(`step ${effect.message.step} is given out before the step before it is on disk`);
        if (effect.message.type === 'sum') cluster.notes.set('early-sum', (cluster.notes.get('early-sum') ?? 0) + 1);
        this.connections.get(effect.worker)?.down(effect.message);
        break;
      case 'close': {
        const connection = this.connections.get(effect.worker);
        this.connections.delete(effect.worker);
        connection?.close();
        break;
      }
      case 'recordClass':
        this.onDisk(() => {
          cluster.disk.numerics = effect.numerics;
          cluster.disk.undo = () => (cluster.disk.numerics = null);
        });
        break;
      case 'recordAdmitted':
      case 'branchLedger':
        cluster.violation(`${effect.type} in a strict run`);
        break;
      case 'keep':
        cluster.world.after(cluster.world.random.between(5, 100), () =>
          this.post(() => this.dispatch({ type: 'kept', step: effect.step, failure: null })),
        );
        break;
      case 'appendLedger':
        this.onDisk(() => this.append(effect));
        break;
      case 'publish': {
        const { step, digest, from } = effect;
        cluster.world.after(cluster.world.random.between(5, 200), () =>
          this.post(() => {
            const source = [...cluster.workers].find(
              // What has another digest is not taken, and the next source is asked.
              (node) => from.some((member) => member.port === node.port) && node.serves(step) === digest,
            );
            if (source === undefined)
              return this.dispatch({
                type: 'publishFailed',
                step,
                code: 'E_CHECKPOINT_SOURCE',
                message: 'none holds it',
              });
            const { disk } = cluster;
            if (!disk.checkpoints.some((other) => other.step === step)) {
              disk.checkpoints.push({ step, digest });
              disk.undo = () => void disk.checkpoints.pop();
            }
            this.dispatch({ type: 'published', step, digest });
          }),
        );
        break;
      }
      case 'note':
        this.say(JSON.stringify(effect.note));
        if (effect.note.note === 'committed') this.lookForForgotten();
        cluster.notes.set(effect.note.note, (cluster.notes.get(effect.note.note) ?? 0) + 1);
        break;
      case 'exit':
        cluster.outcome = `${effect.outcome.kind} ${effect.outcome.code} ${effect.outcome.reason}`;
        cluster.world.end();
        break;
      default:
        effect satisfies never;
    }
  }

  private append(effect: Extract<CoordinatorEffect, { type: 'appendLedger' }>): void {
    const { disk } = this.cluster;
    const { record, digest } = effect;
    const { entries } = disk;
    const { step } = record;
    if (step !== entries.length)
      return this.cluster.violation(`step ${step} is recorded after ${entries.length} steps`);
    if (digest !== this.cluster.truth[step + 1])
      return this.cluster.violation(`step ${step} gave another state than the undisturbed run`);
    const expected = Array.from({ length: MICROBATCHES }, (_, microbatch) => samplesOf(step, microbatch));
    if (record.samples.join() !== expected.join() || record.plan.length !== MICROBATCHES)
      return this.cluster.violation(`step ${step} used other samples than those of the plan`);
    if (entryOf(effect, this.clocks).at !== this.clocks.wallNow())
      return this.cluster.violation(`step ${step} is recorded with another time than people's`);
    entries.push({ record, digest });
    disk.undo = () => void entries.pop();
    this.dispatch({ type: 'ledgerWritten', step });
  }

  /** No live worker waits for ever. */
  private lookForForgotten(): void {
    for (const view of this.decisions.state.workers.values()) {
      const waiting = view.have !== null && !view.leaving && !this.decisions.state.ranks.has(view.id);
      const commits = waiting ? (this.apart.get(view.id) ?? 0) + 1 : 0;
      this.apart.set(view.id, commits);
      if (commits > MOST_COMMITS_APART)
        this.cluster.violation(`${view.id} is ready, but in no ring for ${commits} steps`);
    }
  }

  /** In order, after a while; lost if the process is killed before. */
  private onDisk(write: () => void): void {
    const { world } = this.cluster;
    this.diskFree = Math.max(this.diskFree, world.now) + world.random.between(0.5, 15);
    world.after(this.diskFree - world.now, () => {
      if (this.alive) write();
    });
  }

  /** Whatever the clocks show, a worker that says nothing is lost soon. */
  private lookForUnnoticed(): void {
    for (const id of this.decisions.state.workers.keys()) {
      const ticks = (this.unheard.get(id) ?? 0) + 1;
      this.unheard.set(id, ticks);
      if (ticks > MOST_TICKS_UNHEARD) this.cluster.violation(`the coordinator does not notice that ${id} is silent`);
    }
  }

  private tick(): void {
    this.cluster.world.after(timeouts.coordinatorTickMs, () =>
      this.post(() => {
        this.dispatch({ type: 'tick' });
        this.lookForUnnoticed();
        this.tick();
      }),
    );
  }

  private beat(): void {
    this.cluster.world.after(timeouts.heartbeatIntervalMs, () =>
      this.post(() => {
        for (const connection of this.connections.values()) connection.down({ type: 'heartbeat' });
        this.beat();
      }),
    );
  }
}
