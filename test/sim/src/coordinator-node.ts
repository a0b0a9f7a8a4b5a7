/** The coordinator process of the simulation: the real core, a pretended disk, and the edge's rules about connections. */
import { heartbeatInterval, type WorkerMessage } from '@lockstep/comm';
import {
  coordinatorStep,
  initialCoordinatorState,
  type CoordinatorEffect,
  type CoordinatorEvent,
  type CoordinatorState,
  type Settings,
} from '@lockstep/coordinator';
import {
  CHECKPOINT_EVERY,
  HEARTBEAT_TIMEOUT_MS,
  MICROBATCHES,
  STEPS,
  type Cluster,
  type Connection,
} from './cluster.js';
import { SEED_DIGEST } from './numerics.js';

const settings: Settings = {
  run: 'sim',
  runSettings: {
    preset: 'sim',
    seed: 0,
    steps: STEPS,
    globalBatch: MICROBATCHES,
    microbatchSize: 1,
    learningRate: null,
    timesteps: null,
    checkpointEvery: CHECKPOINT_EVERY,
    dataDigest: SEED_DIGEST,
  },
  steps: STEPS,
  microbatches: MICROBATCHES,
  checkpointEvery: CHECKPOINT_EVERY,
  minWorkers: 1,
  heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
};

export class CoordinatorNode {
  alive = true;
  private frozenUntil = 0;
  private state: CoordinatorState;
  private readonly connections = new Map<string, Connection>();
  private readonly pending: CoordinatorEffect[] = [];
  private performing = false;
  private readonly durable = {
    digestOf: (step: number): string | null =>
      step === 0 ? SEED_DIGEST : (this.cluster.disk.entries[step - 1]?.digest ?? null),
  };
  /** Writes reach the disk in order. */
  private diskFree = 0;

  constructor(private readonly cluster: Cluster) {
    const { disk, world } = cluster;
    const recovered = {
      committed: disk.entries.length,
      generation: disk.generation,
      checkpoint: disk.checkpoint,
      probe: disk.probe,
    };
    this.state = initialCoordinatorState(recovered, this.durable, world.now);
    cluster.coordinator = this;
    world.say('coordinator', `starts with ${disk.entries.length} steps, checkpoint ${disk.checkpoint?.step ?? 'none'}`);
    this.tick();
  }

  post(action: () => void): void {
    if (!this.alive) return;
    const { world } = this.cluster;
    if (world.now < this.frozenUntil) world.after(this.frozenUntil - world.now, () => this.post(action));
    else action();
  }

  freeze(duration: number): void {
    this.frozenUntil = Math.max(this.frozenUntil, this.cluster.world.now + duration);
    this.cluster.world.say('coordinator', `frozen for ${duration.toFixed(0)} ms`);
  }

  crash(): void {
    this.alive = false;
    this.cluster.world.say('coordinator', 'killed');
    for (const connection of this.connections.values()) connection.close();
  }

  received(connection: Connection, message: WorkerMessage): void {
    const now = this.cluster.world.now;
    if (message.type === 'hello') {
      const earlier = this.connections.get(message.worker);
      this.connections.set(message.worker, connection);
      if (earlier !== undefined && earlier !== connection) earlier.close();
      this.dispatch({
        type: 'hello',
        worker: message.worker,
        host: message.host,
        port: message.port,
        run: message.run,
        now,
      });
    } else if (this.connections.get(connection.worker.id) === connection) {
      this.dispatch({ type: 'message', worker: connection.worker.id, message, now });
    }
  }

  disconnected(connection: Connection): void {
    if (this.connections.get(connection.worker.id) !== connection) return;
    this.connections.delete(connection.worker.id);
    this.dispatch({
      type: 'gone',
      worker: connection.worker.id,
      reason: 'its connection closed',
      now: this.cluster.world.now,
    });
  }

  private dispatch(event: CoordinatorEvent): void {
    if (!this.alive) return;
    const { state, effects } = coordinatorStep(this.state, event, settings, this.durable);
    this.state = state;
    this.pending.push(...effects);
    if (!this.performing) this.perform();
  }

  private perform(): void {
    this.performing = true;
    for (let effect = this.pending.shift(); effect !== undefined; effect = this.pending.shift()) {
      if (effect.type === 'recordGeneration') {
        const { generation } = effect;
        this.onDisk(() => {
          this.cluster.disk.generation = generation;
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
        this.connections.get(effect.worker)?.down(effect.message);
        break;
      case 'close': {
        const connection = this.connections.get(effect.worker);
        this.connections.delete(effect.worker);
        connection?.close();
        break;
      }
      case 'recordProbe':
        this.onDisk(() => (cluster.disk.probe = effect.probe));
        break;
      case 'appendLedger':
        this.onDisk(() => this.append(effect));
        break;
      case 'publish': {
        const { step, digest, from } = effect;
        cluster.world.after(cluster.world.random.between(5, 200), () =>
          this.post(() => {
            const source = [...cluster.workers].find(
              (node) => from.some((member) => member.port === node.port) && node.serves(step) !== null,
            );
            const now = cluster.world.now;
            if (source === undefined)
              return this.dispatch({
                type: 'publishFailed',
                step,
                code: 'E_CHECKPOINT_SOURCE',
                message: 'none holds it',
                now,
              });
            if (source.serves(step) !== digest)
              return cluster.violation(`state ${step} of ${source.id} is not what was committed`);
            cluster.disk.checkpoint = { step, digest };
            this.dispatch({ type: 'published', step, digest, now });
          }),
        );
        break;
      }
      case 'note':
        cluster.world.say('coordinator', JSON.stringify(effect.note));
        break;
      case 'exit':
        cluster.outcome = `${effect.outcome.kind} ${effect.outcome.code} ${effect.outcome.reason}`;
        cluster.world.end();
        break;
      default:
        effect satisfies never;
    }
  }

  private append({ record, digest }: Extract<CoordinatorEffect, { type: 'appendLedger' }>): void {
    const { entries } = this.cluster.disk;
    if (record.step !== entries.length)
      return this.cluster.violation(`step ${record.step} is recorded after ${entries.length} steps`);
    if (digest !== this.cluster.truth[record.step + 1])
      return this.cluster.violation(`step ${record.step} gave another state than the undisturbed run`);
    if (record.plan.length !== MICROBATCHES || record.losses.length !== MICROBATCHES)
      this.cluster.violation(`step ${record.step} misses microbatches`);
    entries.push({ step: record.step, digest, plan: record.plan, losses: record.losses });
    this.dispatch({ type: 'ledgerWritten', step: record.step, now: this.cluster.world.now });
  }

  /** In order, after a while; lost if the process is killed before. */
  private onDisk(write: () => void): void {
    const { world } = this.cluster;
    this.diskFree = Math.max(this.diskFree, world.now) + world.random.between(0.5, 15);
    world.after(this.diskFree - world.now, () => {
      if (this.alive) write();
    });
  }

  private tick(): void {
    this.cluster.world.after(heartbeatInterval(HEARTBEAT_TIMEOUT_MS), () =>
      this.post(() => {
        this.dispatch({ type: 'tick', now: this.cluster.world.now });
        for (const connection of this.connections.values()) connection.down({ type: 'heartbeat' });
        this.tick();
      }),
    );
  }
}
