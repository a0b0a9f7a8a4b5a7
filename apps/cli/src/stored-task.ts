/** The task of a run that is there. */
import { openTask } from '@lockstep/catalog';
import type { StoredRun } from '@lockstep/run';
import { checkCode, type Task, type TaskModule } from '@lockstep/task';

/** The task, of the code that the run began with. @throws TaskError E_TASK_*; DiffusionError E_RECIPE and others of the task's own */
export async function storedTask({
  task: { module: name, code },
  recipe,
}: StoredRun): Promise<{ readonly module: TaskModule; readonly task: Task }> {
  const opened = await openTask(name);
  checkCode(name, code, opened.code);
  return { module: opened.module, task: opened.module.create(recipe) };
}
