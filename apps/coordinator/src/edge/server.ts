/** A coordinator on the real ports: one TCP port with WebSockets and HTTP, the ledger, the checkpoints, the time that passes. */
import { MONOTONIC, RequestGate } from '@lockstep/comm';
import { fetchState, type CheckpointStore, type Ledger, type TrainingState } from '@lockstep/run';
import type { Outcome } from '../decide/state.js';
import { answer } from './answers.js';
import { Coordinator, type CoordinatorOptions } from './coordinator.js';
import type { HeldPort } from './held-port.js';
import { Monitor, type MonitorOptions } from './monitor.js';
import type { Status } from '../status.js';
import type { Publishing } from './publisher.js';
import { socketDoor } from './socket-door.js';

/** All that the edge is given; nothing in it reads the environment. */
export interface ServerOptions
  extends CoordinatorOptions, MonitorOptions, Pick<Publishing, 'table' | 'layout' | 'model' | 'keepCheckpoints'> {
  readonly host: string;
  /** What it is called besides `host`: see serverNames of libs/comm. */
  readonly names: readonly string[];
  /** State 0 itself, for workers that must begin with it. */
  readonly startState: () => Promise<TrainingState>;
  readonly ledger: Ledger;
  readonly store: CheckpointStore;
  /** States kept for replay. */
  readonly incidents: CheckpointStore;
}

export class CoordinatorServer {
  private readonly coordinator: Coordinator;
  private readonly monitor: Monitor;

  /** Serves the run on a port that is held already. */
  constructor(
    private readonly held: HeldPort,
    private readonly options: ServerOptions,
  ) {
    const { host, names, clocks, ledger, store, incidents, table, layout, model, keepCheckpoints } = options;
    this.monitor = new Monitor(options, () => this.coordinator.state);
    const answering = {
      phase: () => this.coordinator.state.phase.kind,
      status: () => this.status(),
      metrics: () => this.monitor.metricsText(),
      state: (wanted: number) => this.stateOf(wanted),
    };
    this.coordinator = new Coordinator(options, {
      clocks,
      timers: MONOTONIC,
      door: socketDoor(held, new RequestGate(host, names), (request, response) => {
        void answer(answering, request, response);
      }),
      ledger,
      publishing: { store, incidents, fetchState, table, layout, model, keepCheckpoints },
      watcher: this.monitor,
    });
    this.coordinator.start();
  }

  /** Resolves when the run is over and all that it wrote is on disk. */
  get finished(): Promise<Outcome> {
    return this.coordinator.finished;
  }

  get port(): number {
    return this.held.port;
  }

  /** Commits the step under way, publishes a checkpoint and ends. */
  stop(reason: string): void {
    this.coordinator.stop(reason);
  }

  /** Publishes a checkpoint as soon as a state is at rest, and goes on. */
  checkpoint(): void {
    this.coordinator.checkpoint();
  }

  status(): Status {
    return this.monitor.status();
  }

  private async stateOf(wanted: number): Promise<TrainingState | null> {
    const { store, startState } = this.options;
    if ((await store.list()).includes(wanted)) return (await store.read(wanted)).state;
    return wanted === 0 ? startState() : null;
  }
}
