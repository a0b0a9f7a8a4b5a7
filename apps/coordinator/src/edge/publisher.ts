/** Fetches committed states from workers and keeps them: as checkpoints, or for replay. */
import { stateUrl, timeoutsFrom, type Member } from '@lockstep/comm';
import {
  type JsonValue,
  type ParameterTable,
  type PublishRequest,
  type TrainingState,
  type WantedState,
  tableLength,
} from '@lockstep/run';
import type { Clocks } from '../decide/clocks.js';
import { CoordinatorError } from '../errors.js';
import type { Effect, Settings } from '../decide/state.js';

/** Takes states in; see CheckpointStore of libs/run. */
interface StateStore {
  publish(request: PublishRequest): Promise<unknown>;
}

/** Where states go, where they come from, and what they are of. */
export interface Publishing {
  readonly store: StateStore & { prune(keep: number): Promise<unknown> };
  /** States kept for replay. */
  readonly incidents: StateStore;
  /** The wanted state from a URL; rejects if that has another one, or none. */
  readonly fetchState: (url: string, wanted: WantedState) => Promise<TrainingState>;
  readonly table: ParameterTable;
  /** The tensors' axes in words. */
  readonly layout: string;
  readonly model: JsonValue;
  /** Checkpoints to keep. */
  readonly keepCheckpoints: number;
}

type Publish = Extract<Effect, { type: 'publish' }>;
type Keep = Extract<Effect, { type: 'keep' }>;

export class Publisher {
  private publishing: Promise<void> = Promise.resolve();
  /** Parameters. */
  private readonly length: number;

  constructor(
    private readonly ports: Publishing,
    private readonly settings: Settings,
    private readonly clocks: Clocks,
  ) {
    this.length = tableLength(ports.table);
  }

  /**
   * Publishes a state, taken from the first of the effect's members that gives it with the right digest. One after another: the last
   * step's checkpoint may be asked for twice, and the second time it must be found whole.
   * @throws CoordinatorError E_CHECKPOINT_SOURCE when no worker gave it, CheckpointError E_CHECKPOINT_WRITE when the disk did not take it.
   */
  publish(effect: Publish): Promise<void> {
    const { store, keepCheckpoints } = this.ports;
    const published = this.publishing.then(async () => {
      await this.put(store, effect);
      await store.prune(keepCheckpoints);
    });
    this.publishing = published.catch(() => undefined);
    return published;
  }

  /** Keeps a state where none is ever thrown away. @throws as `publish` */
  async keep(effect: Keep): Promise<void> {
    await this.put(this.ports.incidents, effect);
  }

  private async put(store: StateStore, effect: Publish | Keep): Promise<void> {
    const createdAt = this.clocks.wallNow();
    const { table, layout, model } = this.ports;
    await store.publish({
      runId: this.settings.run,
      state: await this.take(effect),
      table,
      layout,
      model,
      arithmetic: this.settings.runSettings.arithmetic,
      generation: effect.generation,
      createdAt,
    });
  }

  private async take({ step, digest, from }: { step: number; digest: string; from: readonly Member[] }) {
    const { transferStallMs: stallMs } = timeoutsFrom(this.settings.heartbeatTimeoutMs);
    const { arithmetic } = this.settings.runSettings;
    const wanted: WantedState = { step, digest, arithmetic, length: this.length, stallMs };
    const failures: string[] = [];
    for (const member of from) {
      try {
        return await this.ports.fetchState(stateUrl(member, step), wanted);
      } catch (error) {
        failures.push(`${member.id}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    throw new CoordinatorError(
      'E_CHECKPOINT_SOURCE',
      `no worker gave state ${step} (${failures.join('; ') || 'none holds it'}); the run goes on, or resume it from the checkpoint before.`,
    );
  }
}
