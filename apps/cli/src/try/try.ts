/** What a trained network of one's own task is worth: its figures on data that it was not trained on, and what it makes. */
import type { EngineName } from '@lockstep/base';
import type { Engine } from '@lockstep/engine';
import { DirectoryStore, readRun, runPaths, storedRun } from '@lockstep/run';
import { DefinedTask, measure, TaskError, type Measured, type Task, type TaskData } from '@lockstep/task';
import { CliError } from '../errors.js';
import { openRunTask } from '@lockstep/catalog';

export interface TryRequest {
  /** Of the run. */
  readonly directory: string;
  /** Where its data is now; null: where it was when the run began. */
  readonly data: string | null;
  readonly prompt: string;
  readonly seed: number;
  /** Test samples that are measured at most. */
  readonly samples: number;
  readonly warn: (text: string) => void;
  /** Loads the engine, which takes seconds. */
  readonly engine: (name: EngineName) => Engine;
}

export interface Tried {
  readonly task: string;
  /** Of the checkpoint. */
  readonly step: number;
  /** Null: the task has no test data. */
  readonly measured: Measured | null;
  /** What the task's `sample` makes; null: it has none. */
  readonly sample: string | null;
}

/**
 * Tries the moving average of the newest checkpoint.
 *
 * @throws CheckpointError E_RUN_MISSING, E_RUN_CORRUPT; CliError E_NO_CHECKPOINT; TaskError E_TASK_CANNOT for a run whose samples are
 *   drawn by another command, E_TASK_CODE and what else the task throws; EngineError
 */
export async function tryRun({ directory, data, prompt, seed, samples, warn, engine }: TryRequest): Promise<Tried> {
  const stored = storedRun(await readRun(directory), directory);
  const { module, task } = await openRunTask(stored);
  if (module.can?.includes('sample') === true)
    throw new TaskError(
      'E_TASK_CANNOT',
      `the run in ${directory} is of ${task.name}, which this command does not try: draw its samples by lockstep sample ${directory}, and judge them by lockstep eval ${directory}`,
    );
  const { checkpoint, skipped } = await new DirectoryStore(runPaths(directory).checkpoints).newest();
  for (const bad of skipped) warn(`${bad.code}: the checkpoint of step ${bad.step} is not used: ${bad.reason}`);
  if (checkpoint === undefined) throw new CliError('E_NO_CHECKPOINT', `${directory} holds no whole checkpoint`);
  const test = await testData(task, data ?? stored.data);
  const loaded = engine(stored.engine);
  const { step, ema } = checkpoint.state;
  return {
    task: task.name,
    step,
    measured: test === null ? null : measure(loaded, task, test, ema, samples),
    sample: task instanceof DefinedTask && task.samples ? await task.sample(loaded, ema, { seed, prompt }) : null,
  };
}

/** Null where the task has none. */
async function testData(task: Task, source: string | null): Promise<TaskData | null> {
  try {
    return await task.open(source, 'test');
  } catch (error) {
    if (error instanceof TaskError && error.code === 'E_TASK_CANNOT') return null;
    throw error;
  }
}
