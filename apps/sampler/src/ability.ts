/** Which runs this program draws from, judges and exports: those whose task can do that. */
import { openTask } from '@lockstep/catalog';
import { CheckpointError, readRun, storedRun } from '@lockstep/run';
import { TaskError, type Ability } from '@lockstep/task';

const COMMANDS: Readonly<Record<Ability, string>> = {
  sample: 'lockstep sample draws no images of it',
  evaluate: 'lockstep eval cannot judge its samples',
  export: 'lockstep export cannot write its network',
};

/**
 * Throws if the run's task cannot do that. A folder without a run's record may still hold checkpoints.
 *
 * @throws TaskError E_TASK_CANNOT; E_TASK_MISSING and others if the task cannot be opened
 */
export async function mustBeAble(run: string, ability: Ability): Promise<void> {
  const name = await taskName(run);
  if (name === null || (await openTask(name)).module.can?.includes(ability) === true) return;
  throw new TaskError(
    'E_TASK_CANNOT',
    `the run in ${run} is of the task ${name}, and ${COMMANDS[ability]}: use lockstep try ${run}`,
  );
}

async function taskName(run: string): Promise<string | null> {
  try {
    return storedRun(await readRun(run), run).task.module;
  } catch (error) {
    if (error instanceof CheckpointError) return null;
    throw error;
  }
}
