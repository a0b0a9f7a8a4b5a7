/** A worker process of the simulation: the real core, a pretended engine, and the edge's rules about connections. */
import { heartbeatInterval, type CoordinatorMessage } from '@lockstep/comm';
import {
  initialWorkerState,
  workerStep,
  type WorkerEffect,
  type WorkerEvent,
  type WorkerState,
} from '@lockstep/worker';
import { Connection, HEARTBEAT_TIMEOUT_MS, type Cluster } from './cluster.js';
import { SEED_DIGEST, exponentsOf, foldOf, gradientOf, hashOf, lossOf, nextDigest } from './numerics.js';

let ports = 1;

export class WorkerNode {
  readonly port = ports++;
  alive = true;
  /** Factor on the time of a gradient. */
  slowness = 1;
  private frozenUntil = 0;
  private state: WorkerState;
  private connection: Connection | null = null;
  private lastHeard = 0;
  private digest = SEED_DIGEST;
  private retained: { readonly step: number; readonly digest: string } | null = null;
  private readonly gradients = new Map<number, number>();
  private gradientsOf = 0;
  private sum = 0;

  constructor(
    readonly id: string,
    private readonly cluster: Cluster,
  ) {
    this.state = initialWorkerState(id, 'sim', this.port);
    cluster.workers.add(this);
    this.connect();
    this.beat();
  }

  /** Runs `action` as soon as this process can run, if it still lives then. */
  post(action: () => void): void {
    if (!this.alive) return;
    const { world } = this.cluster;
    if (world.now < this.frozenUntil) world.after(this.frozenUntil - world.now, () => this.post(action));
    else action();
  }

  freeze(duration: number): void {
    this.frozenUntil = Math.max(this.frozenUntil, this.cluster.world.now + duration);
    this.cluster.world.say(this.id, `frozen for ${duration.toFixed(0)} ms`);
  }

  crash(): void {
    if (!this.alive) return;
    this.alive = false;
    this.cluster.world.say(this.id, 'killed');
    this.cluster.workers.delete(this);
    this.connection?.close();
    this.cluster.ring.leave(this);
  }

  blackhole(): void {
    if (this.connection !== null) this.connection.blackholed = true;
    this.cluster.world.say(this.id, 'its connection is half-open');
  }

  /** The state's digest, if this process could serve it now. */
  serves(step: number): string | null {
    if (!this.alive) return null;
    if (this.retained?.step === step) return this.retained.digest;
    const { have, busy } = this.state;
    return have?.step === step && busy?.kind !== 'apply' && busy?.kind !== 'load' ? this.digest : null;
  }

  received(connection: Connection, message: CoordinatorMessage): void {
    if (connection !== this.connection) return;
    this.lastHeard = this.cluster.world.now;
    this.dispatch({ type: 'message', message });
  }

  disconnected(connection: Connection): void {
    if (connection !== this.connection) return;
    this.connection = null;
    this.dispatch({ type: 'disconnected' });
    this.retry();
  }

  ringJoined(generation: number): void {
    this.dispatch({ type: 'ringJoined', generation });
  }

  summed(generation: number, total: number): void {
    // The real ring writes into the shared buffer, and only while its generation lasts.
    if (this.state.reduction?.message.generation === generation && this.state.reduction.stage === 'ringing')
      this.sum = total;
    this.dispatch({ type: 'summed', generation, milliseconds: 1, bytes: 4 });
  }

  ringFailed(generation: number, peer: string): void {
    this.dispatch({ type: 'ringFailed', generation, peer, code: 'E_RING_PEER_LOST', message: `lost ${peer}` });
  }

  private dispatch(event: WorkerEvent): void {
    if (!this.alive) return;
    const { state, effects } = workerStep(this.state, event);
    this.state = state;
    for (const effect of effects) this.perform(effect);
  }

  private perform(effect: WorkerEffect): void {
    const { world, ring } = this.cluster;
    const later = (low: number, high: number, action: () => void): void =>
      world.after(world.random.between(low, high), () => this.post(action));
    switch (effect.type) {
      case 'send':
        this.connection?.up(effect.message);
        break;
      case 'initialise':
        later(10, 200, () =>
          this.dispatch({
            type: 'initialised',
            have: { step: 0, digest: SEED_DIGEST },
            probe: hashOf('probe'),
            engine: 'sim',
          }),
        );
        break;
      case 'compute': {
        const { step, microbatch } = effect;
        later(10 * this.slowness, 100 * this.slowness, () => {
          if (this.gradientsOf !== step) this.gradients.clear();
          this.gradientsOf = step;
          this.gradients.set(microbatch, gradientOf(this.digest, step, microbatch));
          const gradient = {
            loss: lossOf(this.digest, step, microbatch),
            exponents: exponentsOf(this.digest, step, microbatch),
            milliseconds: 1,
          };
          this.dispatch({ type: 'computed', step, microbatch, gradient });
        });
        break;
      }
      case 'fold': {
        const held = effect.contribute.map((microbatch) => this.gradients.get(microbatch));
        if (held.includes(undefined)) this.cluster.violation(`${this.id} must fold a gradient that it does not hold`);
        const sum = foldOf(
          held.filter((gradient) => gradient !== undefined),
          effect.exponents,
        );
        later(1, 5, () => {
          this.sum = sum;
          this.dispatch({ type: 'folded', generation: effect.generation });
        });
        break;
      }
      case 'joinRing':
        later(0, 5, () => {
          if (this.state.generation === effect.generation)
            ring.join(
              effect.generation,
              effect.ring.map((member) => member.id),
              this,
            );
        });
        break;
      case 'leaveRing':
        ring.leave(this);
        break;
      case 'allReduce':
        ring.allReduce(effect.generation, this, this.sum);
        break;
      case 'apply':
        later(1, 10, () => {
          this.digest = nextDigest(this.digest, effect.step, this.sum);
          this.gradients.clear();
          // Every state is kept a while, as the real worker keeps those of checkpoints.
          this.retained = { step: effect.step + 1, digest: this.digest };
          this.dispatch({ type: 'applied', step: effect.step });
        });
        break;
      case 'digest': {
        const { step } = effect;
        later(0, 3, () => {
          if (this.state.have?.step === step && this.state.busy?.kind !== 'apply')
            this.dispatch({ type: 'digested', step, digest: this.digest });
        });
        break;
      }
      case 'load':
        later(5, 150, () => {
          const digest = this.find(effect.step, effect.sources);
          if (digest === effect.digest) {
            this.digest = digest;
            this.dispatch({ type: 'loaded', step: effect.step, digest });
          } else {
            this.dispatch({
              type: 'loadFailed',
              generation: effect.generation,
              code: 'E_STATE_UNAVAILABLE',
              message: 'no source',
            });
          }
        });
        break;
      case 'log':
        break;
      case 'exit':
        world.say(this.id, `exits: ${effect.code}: ${effect.reason}`);
        this.crash();
        break;
      default:
        effect satisfies never;
    }
  }

  private find(step: number, sources: readonly string[]): string | null {
    for (const source of sources) {
      if (source.startsWith('/')) {
        const { checkpoint } = this.cluster.disk;
        if (this.cluster.coordinator?.alive === true && checkpoint?.step === step) return checkpoint.digest;
        continue;
      }
      for (const node of this.cluster.workers) {
        const digest = source === `http://sim:${node.port}/state/${step}` ? node.serves(step) : null;
        if (digest !== null) return digest;
      }
    }
    return null;
  }

  private connect(): void {
    const { coordinator, world } = this.cluster;
    if (coordinator === null || !coordinator.alive) return this.retry();
    const connection = new Connection(this.cluster, this, coordinator);
    world.after(this.cluster.latency(), () =>
      this.post(() => {
        if (!coordinator.alive) return this.retry();
        this.connection = connection;
        this.lastHeard = world.now;
        this.dispatch({ type: 'connected' });
      }),
    );
  }

  private retry(): void {
    const { world } = this.cluster;
    world.after(world.random.between(50, 300), () => this.post(() => this.connect()));
  }

  private beat(): void {
    this.cluster.world.after(heartbeatInterval(HEARTBEAT_TIMEOUT_MS), () =>
      this.post(() => {
        this.dispatch({ type: 'heartbeatDue' });
        if (this.connection !== null && this.cluster.world.now - this.lastHeard > HEARTBEAT_TIMEOUT_MS) {
          const { connection } = this;
          this.connection.close();
          this.disconnected(connection);
        }
        this.beat();
      }),
    );
  }
}
