/** The tasks that there are: those that come with Lockstep, by name, and those in a user's file, by its path. The one place that knows both. */
import { resolve } from 'node:path';
import { diffusionTask } from '@lockstep/diffusion';
import { checkCode, loadTask, type LoadedTask, type Task, type TaskModule } from '@lockstep/task';

/** What is trained where no task is named. A file of this name is written `./diffusion`. */
export const DIFFUSION = 'diffusion';

const INCLUDED: ReadonlyMap<string, TaskModule> = new Map([[DIFFUSION, diffusionTask]]);

/** A task as run.json and the welcome to a run name it: its name, or the absolute path of its file. Null: diffusion. */
export function moduleName(asked: string | null): string {
  if (asked === null) return DIFFUSION;
  return INCLUDED.has(asked) ? asked : resolve(asked);
}

/**
 * The module of a task, with the code that it is of.
 *
 * @param name see moduleName
 * @throws TaskError E_TASK_MISSING, E_TASK_MODULE, E_TASK_TIMEOUT for a file that holds no task
 */
export async function openTask(name: string): Promise<LoadedTask> {
  const included = INCLUDED.get(name);
  if (included !== undefined) return { module: included, code: codeOf(included) };
  const loaded = await loadTask(name);
  return loaded.module.version === undefined ? loaded : { ...loaded, code: codeOf(loaded.module) };
}

/** A module that names its code by a version is its version, whatever its files are. */
function codeOf({ version = '' }: TaskModule): LoadedTask['code'] {
  return { version };
}

/** A task as run.json and the welcome to a run have it. */
export interface RunTask {
  readonly task: { readonly module: string; readonly code: LoadedTask['code'] };
  readonly recipe: Parameters<TaskModule['create']>[0];
}

/**
 * The task of a run, of the code that the run began with.
 *
 * @throws TaskError E_TASK_CODE, with what differs; E_TASK_MISSING, E_TASK_MODULE, E_TASK_TIMEOUT; what the task throws of a recipe
 */
export async function openRunTask({
  task: { module: name, code },
  recipe,
}: RunTask): Promise<{ readonly module: TaskModule; readonly task: Task }> {
  const opened = await openTask(name);
  checkCode(name, code, opened.code);
  return { module: opened.module, task: opened.module.create(recipe) };
}
