/** Which data a run is trained on: the word in its config, and what it stands for. */
import { namesIn } from './data-files.js';
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
