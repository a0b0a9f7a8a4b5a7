/** A coordinator's decisions, played by a test: workers come, compute and leave as it says; a step has one microbatch. */
import type { CommitRecord, CoordinatorMessage, WorkerMessage } from '@lockstep/comm';
import { monotonicMs } from '#src/decide/clocks.js';
import { decide } from '#src/decide/core.js';
import { initialState, type Effect, type Happening, type Settings, type State } from '#src/decide/state.js';

export const SETTINGS: Settings = {
  run: 'r',
  runSettings: {
    task: { module: 'diffusion', code: { version: '1' } },
    data: 'mnist',
    seed: 0,
    recipe: {},
    wire: 'int32',
    arithmetic: 2,
    engine: 'tensorflow',
    checkpointEvery: 100,
    dataDigest: digestOf(0),
  },
  steps: 1_000,
  microbatches: 1,
  checkpointEvery: 100,
  minWorkers: 1,
  heartbeatTimeoutMs: 1_000,
  auditRate: 0,
  numerics: 'strict',
  nonFinite: 'stop',
  figures: [],
  tiersFrom: 64,
};

/** Of state `of`. */
export function digestOf(of: number): string {
  return of.toString(16).padStart(64, '0');
}

type Said = Exclude<WorkerMessage, { type: 'hello' }>;

export class Played {
  state: State;
  /** Milliseconds. */
  now = 0;

  /** `committed` steps are in the ledger; the newest checkpoint is of step `checkpoint`. */
  constructor(
    committed: number,
    checkpoint: number,
    private readonly settings: Settings = SETTINGS,
  ) {
    const recovered = {
      committed,
      generation: 0,
      checkpoint: checkpoint === 0 ? null : { step: checkpoint, digest: digestOf(checkpoint) },
      numerics: null,
      reproducible: true,
    };
    this.state = initialState(recovered, { digestOf }, monotonicMs(0));
  }

  happens(happening: Happening): Effect[] {
    const { state, effects } = decide(this.state, { ...happening, now: monotonicMs(this.now) }, this.settings, {
      digestOf,
    });
    this.state = state;
    return effects;
  }

  says(worker: string, message: Said): Effect[] {
    return this.happens({ type: 'message', worker, message });
  }

  /** A worker comes with state `of`, and perhaps the record of the step that made it. */
  comes(worker: string, of: number, record: CommitRecord | null = null): Effect[] {
    this.happens({ type: 'hello', worker, instance: worker, host: 'h', port: 1, local: null, run: null });
    const have = { step: of, digest: digestOf(of) };
    const ready = { have, record, generation: 0, probe: digestOf(0), engine: {} };
    return this.says(worker, { type: 'ready', ...ready });
  }

  /** `worker` has the gradient of a microbatch. */
  computes(
    worker: string,
    figures?: readonly (number | null)[],
    microbatch = 0,
    digest: string | null = null,
  ): Effect[] {
    const { generation, step: of } = this.state;
    return this.says(worker, {
      ...(figures === undefined ? {} : { figures: [...figures] }),
      ...{ type: 'gradient', generation, step: of, microbatch, loss: 1, exponents: [1] },
      ...{ samples: '0'.repeat(16), digest, milliseconds: 1, cpuMilliseconds: 1 },
    });
  }

  applies(worker: string): Effect[] {
    const { generation, step: of } = this.state;
    const ring = { ringMilliseconds: 1, ringBytes: 1 };
    return this.says(worker, {
      type: 'applied',
      generation,
      step: of,
      digest: digestOf(of + 1),
      record: null,
      ...ring,
    });
  }

  leaves(worker: string): Effect[] {
    return this.says(worker, { type: 'bye', code: 'LEFT', reason: 'SIGTERM' });
  }

  recorded(of: number): Effect[] {
    return this.happens({ type: 'ledgerWritten', step: of });
  }

  published(of: number): Effect[] {
    return this.happens({ type: 'published', step: of, digest: digestOf(of) });
  }

  publishFails(of: number): Effect[] {
    return this.happens({ type: 'publishFailed', step: of, code: 'E_CHECKPOINT_WRITE', message: 'no space' });
  }
}

/** The message of this type that `worker` is sent, if it is. */
export function sentTo(effects: readonly Effect[], worker: string, type: CoordinatorMessage['type']): boolean {
  return effects.some((effect) => effect.type === 'send' && effect.worker === worker && effect.message.type === type);
}

/** From whom state `of` is published, if it is. */
export function publishedFrom(effects: readonly Effect[], of: number): string[] | null {
  for (const effect of effects)
    if (effect.type === 'publish' && effect.step === of) return effect.from.map(({ id }) => id);
  return null;
}

/** How it ended; null if it did not. */
export function outcomeOf(effects: readonly Effect[]): Extract<Effect, { type: 'exit' }>['outcome'] | null {
  for (const effect of effects) if (effect.type === 'exit') return effect.outcome;
  return null;
}
