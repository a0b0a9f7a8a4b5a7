/** Which runs this program draws from, judges and exports: those whose task can do that. */
import { openTask } from '@lockstep/catalog';
import { FIRST_ENGINE, type EngineName } from '@lockstep/base';
import { CheckpointError, readRun, storedRun, type StoredRun } from '@lockstep/run';
import { TaskError, type Ability } from '@lockstep/task';

const COMMANDS: Readonly<Record<Ability, string>> = {
  sample: 'lockstep sample draws no images of it',
  evaluate: 'lockstep eval cannot judge its samples',
  export: 'lockstep export cannot write its network',
};

/**
 * Throws if the run's task cannot do that. A folder without a run's record may still hold checkpoints.
 *
 * @returns what the run's gradients were computed by; of a folder without a record, what those of the first runs were
 * @throws TaskError E_TASK_CANNOT; E_TASK_MISSING and others if the task cannot be opened
 */
export async function mustBeAble(run: string, ability: Ability): Promise<EngineName> {
  const stored = await storedIn(run);
  if (stored === null) return FIRST_ENGINE;
  const name = stored.task.module;
  if ((await openTask(name)).module.can?.includes(ability) === true) return stored.engine;
  throw new TaskError(
    'E_TASK_CANNOT',
    `the run in ${run} is of the task ${name}, and ${COMMANDS[ability]}: use lockstep try ${run}`,
  );
}

async function storedIn(run: string): Promise<StoredRun | null> {
  try {
    return storedRun(await readRun(run), run);
  } catch (error) {
    if (error instanceof CheckpointError) return null;
    throw error;
  }
}
