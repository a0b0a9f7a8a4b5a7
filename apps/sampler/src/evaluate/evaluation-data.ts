/** The labelled data that a run is evaluated on. */
import { storedRun, type RunRecord } from '@lockstep/run';
import { openRunData } from '@lockstep/task';
import {
  DiffusionError,
  diffusionTask,
  GREY,
  inGrey,
  isSameShape,
  loadDataset,
  MNIST,
  shownShape,
  type Dataset,
  type Split,
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
 * @throws CheckpointError E_RUN_CORRUPT; TaskError E_DATA_CHANGED, E_DATA_MISSING; DiffusionError E_MNIST_*, E_DATA_*; E_CLASSIFIER_DATA if there are no classes
 *   to tell apart
 */
export async function loadEvaluationData(
  record: Pick<RunRecord, 'config' | 'dataDigest'>,
  directory: string,
  given: string | null,
): Promise<EvaluationData> {
  const source = storedRun(record, directory).data ?? MNIST;
  const digest = record.dataDigest;
  const images = {
    name: 'diffusion',
    open: (from: string | null, split: Split): Dataset => asKnown(loadDataset(from ?? MNIST, split), digest),
  };
  const train = await openRunData(images, diffusionTask, { source, digest }, given);
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

/** Images in colour are trained on in grey where that was asked for, and until colour was known they always were: their digest says so. */
function asKnown(found: Dataset, digest: string): Dataset {
  if (found.digest === digest) return found;
  const grey = inGrey(found);
  return grey.digest === digest ? grey : found;
}
