/**
 * The state of another run that a run starts from (`lockstep up --from`). It is kept as that run had it, in origin/step-NNNNNNNN/ of the
 * new run's directory, and never removed: so the run is whole when the other one is gone, and its origin's digest can be proved.
 */
import { messageOf, remedyFor } from '@lockstep/base';
import { DirectoryStore, type Checkpoint } from '../checkpoint/checkpoint.js';
import { arithmeticOf } from '../checkpoint/manifest.js';
import { nodeFs } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import type { Origin } from '../ledger/ledger-records.js';
import { runPaths } from './run.js';
import type { TrainingState } from '../checkpoint/state.js';

/** What names a checkpoint as an origin. */
export function originOf({ manifest }: Checkpoint): Origin {
  return { runId: manifest.runId, step: manifest.step, digest: manifest.stateDigest };
}

/**
 * Copies a checkpoint into the directory of a run that is being made. What an earlier try left there goes.
 * @param layout as in PublishRequest
 * @throws CheckpointError E_CHECKPOINT_WRITE.
 */
export async function keepOrigin(root: string, { manifest, table, state }: Checkpoint, layout: string): Promise<void> {
  const folder = runPaths(root).origin;
  const { runId, model, generation, createdAt } = manifest;
  try {
    await nodeFs.remove(folder);
  } catch (error) {
    throw new CheckpointError(
      'E_CHECKPOINT_WRITE',
      `${folder} cannot be removed: ${messageOf(error)}; ${remedyFor(error)}.`,
      {
        cause: error,
      },
    );
  }
  await new DirectoryStore(folder).publish({
    runId,
    model,
    arithmetic: arithmeticOf(manifest),
    createdAt,
    state,
    table,
    layout,
    ...(generation !== undefined && { generation }),
  });
}

/**
 * The other run's state, every byte checked.
 * @throws CheckpointError E_ORIGIN_STATE when it is missing, damaged, or another one.
 */
export async function readOrigin(root: string, origin: Origin): Promise<TrainingState> {
  const folder = runPaths(root).origin;
  const refuse = (why: string, cause?: unknown): never => {
    throw new CheckpointError(
      'E_ORIGIN_STATE',
      `the state that the run starts from, step ${origin.step} of run ${origin.runId}, is not in ${folder}: ${why}; restore the folder from a copy.`,
      { cause },
    );
  };
  let found: Checkpoint;
  try {
    found = await new DirectoryStore(folder).read(origin.step);
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return refuse(error.message.replace(/; [^;]*$/, ''), error);
  }
  const { runId, stateDigest } = found.manifest;
  if (runId !== origin.runId || stateDigest !== origin.digest)
    refuse(`there is state ${stateDigest.slice(0, 12)} of run ${runId}`);
  return found.state;
}
