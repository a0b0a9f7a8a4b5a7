/** The labelled data that a run is evaluated on. */
import { storedRun, type RunRecord } from '@lockstep/run';
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

/**
 * The data set of a run.
 * @param directory of the run, for messages
 * @param given where it is now; null: where it was when the run began
 * @throws CheckpointError E_RUN_CORRUPT; DiffusionError E_DATA_CHANGED, E_MNIST_*, E_DATA_*; E_CLASSIFIER_DATA if there are no classes
 *   to tell apart
 */
export function loadEvaluationData(
  record: Pick<RunRecord, 'config' | 'dataDigest'>,
  directory: string,
  given: string | null,
): EvaluationData {
  const source = storedRun(record, directory).data ?? MNIST;
  const train = loadRunData({ source, digest: record.dataDigest }, given);
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
