/** Folders and files of training data, read so that whatever is wrong with one is said with its path and a code. */
import { lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import type { Dirent, Stats } from 'node:fs';
import { join } from 'node:path';
import { getSystemErrorMap } from 'node:util';

import { DiffusionError } from '../errors.js';

/** What lies in a folder; links are followed, so that `kind` is that of what they lead to. */
export type Entry = { readonly name: string; readonly kind: 'file' | 'folder' | 'other'; readonly link: boolean };

/** Node reads no larger file at once. */
export const MAX_FILE_BYTES = 2 ** 31 - 1;

/** The code of Node's or the system's error. */
export const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined);

/** What the system says, in its words alone: the rest of Node's message repeats path and call. */
export function reasonOf(error: unknown): string {
  const number = error instanceof Error && 'errno' in error ? error.errno : undefined;
  const known = typeof number === 'number' ? getSystemErrorMap().get(number) : undefined;
  return known?.[1] ?? (error instanceof Error ? error.message : String(error));
}

/** That `path` cannot be read, why, and what to do. */
export function unreadable(path: string, cause: unknown): DiffusionError {
  const target = linkTarget(path);
  const gone = codeOf(cause) === 'ENOENT';
  const what =
    target !== null && gone
      ? `is a link to ${target}, which is not there: mend the link, or take it away`
      : codeOf(cause) === 'ELOOP'
        ? 'is a link that leads round in a circle: mend it, or take it away'
        : gone
          ? 'is not there: check the path; it must be there, and stay, on every machine of the run'
          : `cannot be read (${reasonOf(cause)}): check it and its permissions`;
  return new DiffusionError('E_DATA_MISSING', `${path} ${what}`);
}

/** Where a link leads by its own words; null if it is none. */
function linkTarget(path: string): string | null {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null;
  } catch {
    return null;
  }
}

/** Follows links. @throws E_DATA_MISSING */
function statOf(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** Whether it is a folder, or a link to one; what is wrong with it shows where it is read. */
export function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** The path without links. @throws E_DATA_MISSING */
export function realPathOf(path: string): string {
  try {
    return realpathSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function direntsIn(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    throw unreadable(folder, cause);
  }
}

/** All names in a folder; what they are is not looked at. @throws E_DATA_MISSING */
export function namesIn(folder: string): string[] {
  return direntsIn(folder).map(({ name }) => name);
}

/**
 * What lies in a folder but hidden things, in an order that no system's language decides.
 *
 * @throws E_DATA_MISSING if the folder, or what a link in it leads to, cannot be read
 */
export function entriesIn(folder: string): Entry[] {
  return direntsIn(folder)
    .filter(({ name }) => !name.startsWith('.'))
    .map((entry): Entry => {
      const { name } = entry;
      if (entry.isFile()) return { name, kind: 'file', link: false };
      if (entry.isDirectory()) return { name, kind: 'folder', link: false };
      // A link, or a file system that does not say.
      const stats = statOf(join(folder, name));
      return {
        name,
        kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : 'other',
        link: entry.isSymbolicLink(),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/**
 * A whole file.
 *
 * @throws E_DATA_MISSING if it cannot be read or is no plain file: a pipe would be waited for without end. E_DATA_SIZE if it is
 *   larger than {@link MAX_FILE_BYTES}
 */
export function readDataFile(path: string): Buffer {
  const stats = statOf(path);
  if (!stats.isFile()) {
    const what = stats.isDirectory() ? 'a folder' : 'a device, pipe or socket';
    throw new DiffusionError('E_DATA_MISSING', `${path} is ${what}, not a file: rename it, or take it away`);
  }
  if (stats.size > MAX_FILE_BYTES) {
    throw new DiffusionError(
      'E_DATA_SIZE',
      `${path} is larger than the ${MAX_FILE_BYTES} bytes that are read: divide it`,
    );
  }
  try {
    return readFileSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
