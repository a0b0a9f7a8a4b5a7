/** Fetches a committed state from a worker and publishes it as a checkpoint. */
import type { Member } from '@lockstep/comm';
import { decodeState, encodedStateBytes, stateDigest, tableLength } from '@lockstep/checkpoint';
import type { CheckpointStore, JsonValue, ParameterTable, TrainingState } from '@lockstep/checkpoint';
import { CoordinatorError } from './errors.js';

/** A worker that does not hand its state over within this time is given up; the next one is asked. Milliseconds. */
const FETCH_TIMEOUT_MS = 60_000;

export interface PublishTask {
  readonly runId: string;
  readonly table: ParameterTable;
  readonly model: JsonValue;
  readonly step: number;
  readonly digest: string;
  readonly generation: number;
  readonly from: readonly Member[];
  readonly createdAt: number;
  /** Checkpoints to keep, this one included. */
  readonly keep: number;
}

/**
 * Publishes state `step`, taken from the first of `from` that gives it with the right digest.
 * @throws CoordinatorError E_CHECKPOINT_SOURCE when no worker gave it, CheckpointError E_CHECKPOINT_WRITE when the disk did not take it.
 */
export async function publishState(store: CheckpointStore, task: PublishTask): Promise<void> {
  const state = await fetchState(task);
  await store.publish({
    runId: task.runId,
    state,
    table: task.table,
    model: task.model,
    generation: task.generation,
    createdAt: task.createdAt,
  });
  await store.prune(task.keep);
}

async function fetchState(task: PublishTask): Promise<TrainingState> {
  const length = tableLength(task.table);
  const failures: string[] = [];
  for (const member of task.from) {
    try {
      const host = member.host.includes(':') ? `[${member.host}]` : member.host;
      const response = await fetch(`http://${host}:${member.port}/state/${task.step}`, {
        signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
      });
      if (!response.ok) throw new Error(`HTTP ${response.status} ${(await response.text()).slice(0, 200)}`);
      const declared = Number(response.headers.get('content-length'));
      if (declared !== encodedStateBytes(length))
        throw new Error(`it offers ${declared} bytes, not ${encodedStateBytes(length)}`);
      const state = decodeState(new Uint8Array(await response.arrayBuffer()), length);
      const digest = stateDigest(state);
      if (state.step !== task.step || digest !== task.digest) {
        throw new Error(
          `it gave state ${state.step} with digest ${digest.slice(0, 12)}, not ${task.digest.slice(0, 12)}`,
        );
      }
      return state;
    } catch (error) {
      failures.push(`${member.id}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new CoordinatorError(
    'E_CHECKPOINT_SOURCE',
    `no worker gave state ${task.step} (${failures.join('; ') || 'none holds it'}); the run goes on, or resume it from the checkpoint before.`,
  );
}
