/**
 * The few file operations that durable publishing needs, as an interface, so that tests can make any single one of them
 * fail. What makes a name durable on POSIX: write a new file, fsync it, rename it into place, fsync the folder.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { makeFolderSync, systemCode } from '@lockstep/base';

export interface NewFile {
  /** Writes all of `chunk` at the end. */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when the file's bytes are on disk (fsync). */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** All methods reject with Node's system errors (`code` ENOENT, ENOSPC, ...). */
export interface DurableFs {
  /** With those above it; one that is there is fine. */
  makeFolder(path: string): Promise<void>;
  /** Creates a file that must not exist yet. */
  createFile(path: string): Promise<NewFile>;
  /** Resolves when the folder's entries are on disk (fsync of the folder). */
  syncFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A second name for a file; fails with EEXIST when `to` exists, so that one of several writers wins. */
  link(from: string, to: string): Promise<void>;
  /** Removes a file or a folder with all it holds; a missing one is fine. */
  remove(path: string): Promise<void>;
  /** Names in a folder. */
  list(path: string): Promise<string[]>;
  sizeOf(path: string): Promise<number>;
  read(path: string): Promise<Uint8Array>;
}

export const nodeFs: DurableFs = {
  makeFolder: (path) =>
    new Promise((resolve) => {
      makeFolderSync(path);
      resolve();
    }),
  async createFile(path) {
    const handle = await fs.open(path, 'wx');
    return {
      async write(chunk) {
        let done = 0;
        while (done < chunk.byteLength) done += (await handle.write(chunk, done, chunk.byteLength - done)).bytesWritten;
      },
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  async syncFolder(path) {
    const handle = await fs.open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  rename: (from, to) => fs.rename(from, to),
  link: (from, to) => fs.link(from, to),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
  list: (path) => fs.readdir(path),
  sizeOf: async (path) => (await fs.stat(path)).size,
  read: (path) => fs.readFile(path),
};

/** Prefix of every unfinished file or folder: readers ignore it, a sweep removes it. */
export const TEMP_PREFIX = '.tmp-';

/** A short random string that keeps two writers' temporary names apart. */
export function randomNonce(): string {
  return randomBytes(6).toString('hex');
}

/** Creates `path` with `chunks` in it, on disk when it resolves (the folder's entry is not: sync the folder). */
export async function writeNewFile(disk: DurableFs, path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const file = await disk.createFile(path);
  try {
    for (const chunk of chunks) await file.write(chunk);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Puts a file at `folder/name` whole and durably, unless one is there already: of several writers exactly one gets true.
 * A failure leaves no half-written file at that name.
 */
export async function createWhole(
  disk: DurableFs,
  folder: string,
  name: string,
  chunks: readonly Uint8Array[],
  nonce: string,
): Promise<boolean> {
  const temp = `${folder}/${TEMP_PREFIX}${name}-${nonce}`;
  try {
    await writeNewFile(disk, temp, chunks);
    await disk.link(temp, `${folder}/${name}`);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    // A temporary file left behind is harmless, so failing to remove it must not hide how the write itself went.
    await disk.remove(temp).catch(() => undefined);
  }
  await disk.syncFolder(folder);
  return true;
}
