/** The training data of a run that is there already: wherever it lies, its digest says whether it is that. */
import { existsSync } from 'node:fs';
import { TaskError } from '../errors.js';
import type { Split, TaskData, TaskModule } from '../task.js';

export interface RunData {
  /** Where it was when the run began, as the run has it stored. */
  readonly source: string | null;
  readonly digest: string;
}

/** Whoever opens data by a task's name for itself: the task, or what knows more of its data than a task tells. */
export interface DataOpener<D extends Pick<TaskData, 'digest'>> {
  /** The task's, for messages. */
  readonly name: string;
  open(source: string | null, split: Split): D | Promise<D>;
}

/**
 * Opens a run's training data.
 *
 * @param given `--data`: where it is now; null: where it was
 * @throws TaskError E_DATA_MISSING, E_DATA_CHANGED; what `open` throws
 */
export async function openRunData<D extends Pick<TaskData, 'digest'>>(
  task: DataOpener<D>,
  { dataNames = [] }: Pick<TaskModule, 'dataNames'>,
  { source, digest }: RunData,
  given: string | null,
): Promise<D> {
  if (given === null && source !== null && !dataNames.includes(source) && !existsSync(source))
    throw new TaskError(
      'E_DATA_MISSING',
      `the run's data was in ${source}, which is not there any more: name where it is now by --data`,
    );
  const data = await task.open(given ?? source, 'train');
  if (data.digest === digest) return data;
  const digests = `digest ${digest.slice(0, 12)} then, ${data.digest.slice(0, 12)} now`;
  const place = given ?? source;
  throw new TaskError(
    'E_DATA_CHANGED',
    place === null
      ? `the data that ${task.name} opens has changed since the run began (${digests}): put it back as it was`
      : given === null || given === source
        ? `the data in ${place} has changed since the run began (${digests}): put it back as it was, or name a copy of it by --data`
        : `the data in ${place} is not what the run was trained on (${digests}): name that by --data, wherever it lies`,
  );
}
