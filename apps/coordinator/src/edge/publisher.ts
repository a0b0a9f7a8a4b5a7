/** Fetches a committed state from a worker and publishes it as a checkpoint. */
import { stateUrl, type Member } from '@lockstep/comm';
import {
  type CheckpointStore,
  type JsonValue,
  type ParameterTable,
  type TrainingState,
  fetchState,
  tableLength,
} from '@lockstep/run';
import { TENSOR_LAYOUT } from '@lockstep/diffusion';
import type { WallMs } from '../decide/clocks.js';
import { CoordinatorError } from '../errors.js';

export interface PublishTask {
  readonly runId: string;
  readonly table: ParameterTable;
  readonly model: JsonValue;
  readonly step: number;
  readonly digest: string;
  readonly generation: number;
  readonly from: readonly Member[];
  readonly createdAt: WallMs;
  /** Checkpoints to keep, this one included; null: all. */
  readonly keep: number | null;
  /** A transfer from which no byte came for so long is given up. Milliseconds. */
  readonly stallMs: number;
}

/**
 * Publishes state `step`, taken from the first of `from` that gives it with the right digest.
 * @throws CoordinatorError E_CHECKPOINT_SOURCE when no worker gave it, CheckpointError E_CHECKPOINT_WRITE when the disk did not take it.
 */
export async function publishState(store: CheckpointStore, task: PublishTask): Promise<void> {
  const state = await takeState(task);
  await store.publish({
    runId: task.runId,
    state,
    table: task.table,
    layout: TENSOR_LAYOUT,
    model: task.model,
    generation: task.generation,
    createdAt: task.createdAt,
  });
  if (task.keep !== null) await store.prune(task.keep);
}

async function takeState(task: PublishTask): Promise<TrainingState> {
  const { step, digest, stallMs } = task;
  const wanted = { step, digest, length: tableLength(task.table), stallMs };
  const failures: string[] = [];
  for (const member of task.from) {
    try {
      return await fetchState(stateUrl(member, step), wanted);
    } catch (error) {
      failures.push(`${member.id}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new CoordinatorError(
    'E_CHECKPOINT_SOURCE',
    `no worker gave state ${task.step} (${failures.join('; ') || 'none holds it'}); the run goes on, or resume it from the checkpoint before.`,
  );
}
