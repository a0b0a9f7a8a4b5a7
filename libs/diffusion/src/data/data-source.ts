/** Which data a run is trained on: the word in its config, and what it stands for. */
import { existsSync } from 'node:fs';

import { namesIn } from './data-files.js';
import { inGrey } from './dataset.js';
import type { Dataset, Split } from './dataset.js';
import { DiffusionError } from '../errors.js';
import { isIdxName, loadIdxFolder } from './idx.js';
import { loadMnist } from './mnist.js';
import { loadPngFolder } from './png-folder.js';

/** The data source that needs no folder: the installed MNIST. A folder of this name is written `./mnist`. */
export const MNIST = 'mnist';

/**
 * Loads one half of a data set.
 *
 * @param source `mnist`, or a folder: of IDX files under MNIST's names (idx.ts), or of PNGs (png-folder.ts), which has no test half
 * @throws E_DATA_MISSING, E_DATA_EMPTY, E_DATA_FORMAT, E_DATA_LABEL, E_DATA_PNG, E_DATA_SIZE; of MNIST also E_MNIST_MISSING and
 *   E_MNIST_DIGEST
 */
export function loadDataset(source: string, split: Split): Dataset {
  if (source === MNIST) {
    return loadMnist(split);
  }
  if (namesIn(source).some(isIdxName)) {
    return loadIdxFolder(source, split);
  }
  if (split === 'test') {
    throw new DiffusionError(
      'E_DATA_MISSING',
      `${source} is a folder of PNGs, which has no test half, and without one there is nothing to compare samples with: write both ` +
        'halves as IDX files, the training images in the order of the PNGs (their digest stays), and name that folder by --data',
    );
  }
  return loadPngFolder(source);
}

/** The training data of a run that is there already: where it was, and by what it is known. */
export type RunData = {
  /** As the run has it stored: `mnist`, or a folder. */
  readonly source: string;
  readonly digest: string;
};

/**
 * Loads a run's training data. Its digest decides, not its path: a folder that was moved is named by `given`.
 *
 * @param given `--data`: where the data is now; null: where it was
 * @throws E_DATA_CHANGED if what is there is not what the run was trained on; what {@link loadDataset} throws
 */
export function loadRunData({ source, digest }: RunData, given: string | null): Dataset {
  const dataset = given === null ? loadStored(source) : loadDataset(given, 'train');
  const known = ofDigest(dataset, digest);
  if (known !== null) return known;
  const digests = `digest ${digest.slice(0, 12)} then, ${dataset.digest.slice(0, 12)} now`;
  throw new DiffusionError(
    'E_DATA_CHANGED',
    given === null || given === source
      ? `the data in ${source} has changed since the run began (${digests}): put it back as it was, or name a copy of it by --data`
      : `the data in ${given} is not what the run was trained on (${digests}): name that by --data, wherever it lies`,
  );
}

/**
 * The data as a run with this digest has it; null if it is of other data. Images in colour are trained on in grey where that was asked
 * for, and until colour was known they always were.
 */
export function ofDigest(dataset: Dataset, digest: string): Dataset | null {
  if (dataset.digest === digest) return dataset;
  const grey = inGrey(dataset);
  return grey.digest === digest ? grey : null;
}

function loadStored(source: string): Dataset {
  if (source !== MNIST && !existsSync(source)) {
    throw new DiffusionError(
      'E_DATA_MISSING',
      `the run's data was in ${source}, which is not there any more: name where it is now by --data`,
    );
  }
  return loadDataset(source, 'train');
}
