/**
 * Programs and graphs on disk. One file each, named by the sha256 of its key: a line of JSON (version, key, sha256 over key and graph),
 * then the graph. A file is written beside and renamed, so it is whole or not there, and checked when it is read, so damage
 * on the disk is found; both may happen in any number of processes, as equal keys have equal graphs.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolderSync, type EngineErrorCode } from '@lockstep/base';

export type Warn = (code: EngineErrorCode, message: string) => void;
export type Kept = { readonly bytes: Uint8Array; readonly source: 'recorded' | 'disk' };

const FORMAT = 1;
/** Files kept: a graph for each network, batch size and thread count that somebody tries, many times over. */
const MAX_FILES = 64;
/** Bytes kept: a training step takes 0.3 MB, one with large constants perhaps a hundred times that. */
const MAX_BYTES = 256 * 2 ** 20;
/** How long to wait for another process that records the same graph: several times what the largest takes on a slow core. */
const WAIT_MS = 20_000;
/** Between two looks: short beside a recording, long beside a look. */
const LOOK_MS = 20;
const OURS = /\.(graph|lock|tmp)$/;
const NEWLINE = 10;

const SLEEP = new Int32Array(new SharedArrayBuffer(4));
/** Folders that a warning was given about: once is enough for a process. */
const warned = new Set<string>();

/**
 * The graph with this key: from disk, or made by `record` and kept on disk. Of processes that ask at once one records, and
 * the others wait for it, so that they need not the memory that recording takes; if it takes too long they record too.
 * What `record` throws is thrown on. Where the folder cannot be used, it is said once, and `record` is called.
 */
export function keptGraph(directory: string, key: string, record: () => Uint8Array, warn: Warn): Kept {
  const path = join(directory, `${sha256(key)}.graph`);
  const lock = `${path}.lock`;
  const known = readGraph(path, key, warn);
  if (known !== null) return { bytes: known, source: 'disk' };
  try {
    makeFolderSync(directory);
    awaitTurn(lock, path);
  } catch (error) {
    warnOnce(directory, error, warn);
    return { bytes: record(), source: 'recorded' };
  }
  let bytes: Uint8Array;
  try {
    const meanwhile = readGraph(path, key, warn);
    if (meanwhile !== null) return { bytes: meanwhile, source: 'disk' };
    bytes = record();
    writeGraph(directory, path, key, bytes, warn);
  } finally {
    remove(lock);
  }
  removeOldest(directory);
  return { bytes, source: 'recorded' };
}

/** The graph if it is there and whole. */
function readGraph(path: string, key: string, warn: Warn): Uint8Array | null {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch {
    // Not there, or not to be read: then it cannot be replaced either, and writing says why.
    return null;
  }
  const end = file.indexOf(NEWLINE);
  const bytes = file.subarray(end + 1);
  if (end >= 0 && file.subarray(0, end).toString() === header(key, bytes)) return bytes;
  warn('E_ENGINE_CACHE_FILE', `${path} is damaged; the function is recorded again, and the file replaced`);
  remove(path);
  return null;
}

function header(key: string, bytes: Uint8Array): string {
  return JSON.stringify({ format: FORMAT, sha256: sha256(key, bytes), key });
}

/**
 * Takes the lock, or waits while a living process of this machine has it, until the graph is there or it takes too long. Two
 * processes may both take a lock whose owner is gone, and record both, which costs no more than time.
 */
function awaitTurn(lock: string, path: string): void {
  for (let waited = 0; waited < WAIT_MS; waited += LOOK_MS) {
    try {
      writeFileSync(lock, `${process.pid} ${hostname()}`, { flag: 'wx' });
      return;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') {
        // A full disk takes the name, but not the content.
        remove(lock);
        throw error;
      }
    }
    if (existsSync(path)) return;
    if (ownerIsDead(lock)) remove(lock);
    else Atomics.wait(SLEEP, 0, 0, LOOK_MS);
  }
}

/** Whether the process that made the lock ran on this machine and is gone. */
function ownerIsDead(lock: string): boolean {
  try {
    const [pid, host] = readFileSync(lock, 'utf8').split(' ');
    if (host !== hostname()) return false;
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return codeOf(error) === 'ESRCH';
  }
}

function writeGraph(directory: string, path: string, key: string, bytes: Uint8Array, warn: Warn): void {
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    writeFileSync(temporary, Buffer.concat([Buffer.from(`${header(key, bytes)}\n`), bytes]));
    renameSync(temporary, path);
  } catch (error) {
    remove(temporary);
    warnOnce(directory, error, warn);
  }
}

/** Brings the folder below its bounds, where it can; the newest files stay, the one just written among them. */
function removeOldest(directory: string): void {
  const files = namesIn(directory)
    .filter((name) => OURS.test(name))
    .flatMap((name) => {
      const path = join(directory, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? [] : [{ path, size: stat.size, modified: stat.mtimeMs }];
    })
    .sort((a, b) => b.modified - a.modified);
  let bytes = 0;
  files.forEach(({ path, size }, index) => {
    bytes += size;
    if (index > 0 && (index >= MAX_FILES || bytes > MAX_BYTES)) remove(path);
  });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** Removes a file if it can be removed: what is in the way then shows where it is written. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // See above.
  }
}

function warnOnce(directory: string, error: unknown, warn: Warn): void {
  if (warned.has(directory)) return;
  warned.add(directory);
  const reason = error instanceof Error ? error.message : String(error);
  warn(
    'E_ENGINE_CACHE',
    `compiled graphs cannot be kept in ${directory} (${reason}); every start records anew; make it writable, or set LOCKSTEP_CACHE to a folder that is`,
  );
}

function sha256(...parts: (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
