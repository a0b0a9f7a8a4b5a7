/** A run's task and data as they are on this machine, where they must be what the run began with. */
import { isAbsolute } from 'node:path';
import { toJson, type Arithmetic, type EngineName } from '@lockstep/base';
import { openRunTask } from '@lockstep/catalog';
import type { RunSettings } from '@lockstep/comm';
import type { Wire } from '@lockstep/exact';
import { TaskError, type Task, type TaskData, type TaskModule } from '@lockstep/task';

export interface TaskHere {
  readonly module: TaskModule;
  readonly task: Task;
}

/** All that decides the numbers of a run, but for the state that it is in. */
export interface RunHere {
  readonly task: Task;
  readonly data: TaskData;
  readonly seed: number;
  readonly wire: Wire;
  readonly arithmetic: Arithmetic;
  /** What its gradients are computed by. */
  readonly engine: EngineName;
}

/**
 * The task of a run.
 *
 * @throws E_TASK_CODE, with what differs; E_TASK_MISSING, E_TASK_MODULE, E_TASK_TIMEOUT; what the task throws of a recipe
 */
export async function taskHere({ task, recipe }: Pick<RunSettings, 'task' | 'recipe'>): Promise<TaskHere> {
  return openRunTask({ task, recipe: toJson(recipe) });
}

/**
 * Opens the task and its data.
 *
 * @throws E_DATA_CHANGED if the data here is not the run's; what {@link taskHere} and the task's `open` throw
 */
export async function runHere(settings: RunSettings): Promise<RunHere> {
  const { data: source, dataDigest, seed, wire, arithmetic, engine } = settings;
  const { task } = await taskHere(settings);
  const data = await task.open(source, 'train');
  if (data.digest !== dataDigest)
    throw new TaskError(
      'E_DATA_CHANGED',
      `the data in ${source ?? task.name} of this machine is not the run's (digest ${dataDigest.slice(0, 12)} of the run, ${data.digest.slice(0, 12)} here): put the same data there`,
    );
  return { task, data, seed, wire, arithmetic, engine };
}

/** Whether its user wrote it. What comes with Lockstep is called by a name, and is tried by Lockstep's tests. */
export function isUsers({ task: { module } }: Pick<RunSettings, 'task'>): boolean {
  return isAbsolute(module);
}
