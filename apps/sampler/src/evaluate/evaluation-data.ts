/** The labelled data that a run is evaluated on. */
import { z } from 'zod';
import { CheckpointError, type RunRecord } from '@lockstep/run';
import {
  DiffusionError,
  GREY,
  inGrey,
  isSameShape,
  loadDataset,
  loadRunData,
  MNIST,
  shownShape,
  type Dataset,
} from '@lockstep/diffusion';

export interface EvaluationData {
  /** What the run was trained on. */
  readonly train: Dataset;
  /** What it was not trained on. */
  readonly test: Dataset;
  readonly classes: number;
}

/** The part of a run's config that is needed here. Before there was a choice of data it was MNIST. */
const configSchema = z.object({ data: z.string().default(MNIST) });

/**
 * The data set of a run.
 * @param given where it is now; null: where it was when the run began
 * @throws CheckpointError E_RUN_CORRUPT; DiffusionError E_DATA_CHANGED, E_MNIST_*, E_DATA_*; E_CLASSIFIER_DATA if there are no classes
 *   to tell apart
 */
export function loadEvaluationData(
  { config, dataDigest }: Pick<RunRecord, 'config' | 'dataDigest'>,
  given: string | null,
): EvaluationData {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success)
    throw new CheckpointError(
      'E_RUN_CORRUPT',
      'run.json does not name the data; evaluate it with the version that made it.',
    );
  const source = parsed.data.data;
  const train = loadRunData({ source, digest: dataDigest }, given);
  const classes = train.labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  if (classes < 2)
    throw new DiffusionError(
      'E_CLASSIFIER_DATA',
      'the data has one class, so no classifier of it can be trained, and samples are judged by what one sees: look at them (lockstep sample)',
    );
  const found = loadDataset(given ?? source, 'test');
  const test = train.shape.channels === GREY ? inGrey(found) : found;
  if (!isSameShape(train.shape, test.shape))
    throw new DiffusionError(
      'E_DATA_SIZE',
      `the training images are ${shownShape(train.shape)}, the test images ${shownShape(test.shape)}: take both from one data set`,
    );
  return { train, test, classes };
}
