/** What the name of an output file leads to: output-file.ts says what is done with each kind. */
import * as fs from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { makeFolderSync, systemCode, systemReason } from '@lockstep/base';
import { randomNonce, TEMP_PREFIX } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';

/** As many as Linux follows. */
const MAX_LINKS = 40;

/** What a replaced file's successor keeps. */
export type Old = Pick<fs.Stats, 'mode' | 'uid' | 'gid'>;

/** What the name leads to in the end. */
export type Target =
  | { readonly kind: 'replaced'; readonly path: string; readonly old: Old | null }
  | { readonly kind: 'written over'; readonly path: string }
  | { readonly kind: 'stream'; readonly path: string; readonly stats: fs.Stats }
  | { readonly kind: 'descriptor'; readonly descriptor: number; readonly stats: fs.Stats };

/** Null where two results do no harm to each other: a terminal, /dev/null. */
export function identityOf(target: Target): string | null {
  if (target.kind === 'replaced' || target.kind === 'written over') return `path ${target.path}`;
  const { stats } = target;
  return stats.isCharacterDevice() ? null : `node ${stats.dev}:${stats.ino}`;
}

function refused(path: string, what: string, cause?: unknown): CheckpointError {
  return new CheckpointError('E_OUTPUT_PATH', `${path} ${what}`, { cause });
}

/** @throws CheckpointError E_OUTPUT_PATH */
export function targetOf(path: string, makeFolder: boolean): Target {
  const cannot = (cause: unknown): CheckpointError =>
    refused(path, `cannot be written: ${systemReason(cause)}; name another file`, cause);
  if (path === '' || path.endsWith('/'))
    throw refused(path === '' ? 'an empty name' : path, 'names no file; add a file name');
  try {
    return follow(path, makeFolder, cannot);
  } catch (error) {
    throw error instanceof CheckpointError ? error : cannot(error);
  }
}

/** @throws CheckpointError E_OUTPUT_PATH, or the system's error */
function follow(path: string, makeFolder: boolean, cannot: (cause: unknown) => CheckpointError): Target {
  // Not normalised: in `link/../x` the dots are of where the link leads.
  let at = isAbsolute(path) ? path : `${process.cwd()}/${path}`;
  for (let links = 0; links <= MAX_LINKS; links++) {
    if (makeFolder) makeFolderSync(dirname(at));
    const folder = realFolder(path, dirname(at));
    const real = join(folder, basename(at));
    const descriptor = descriptorOf(real);
    if (descriptor !== null) return describedBy(path, descriptor);
    const stats = fs.lstatSync(real, { throwIfNoEntry: false });
    if (stats === undefined) {
      probe(folder);
      return { kind: 'replaced', path: real, old: null };
    }
    if (!stats.isSymbolicLink()) return existing(path, real, stats, cannot);
    const leads = fs.readlinkSync(real);
    at = isAbsolute(leads) ? leads : `${folder}/${leads}`;
  }
  throw refused(path, 'is a link that leads round in a circle; name another file');
}

function realFolder(path: string, folder: string): string {
  let real: string;
  try {
    real = fs.realpathSync.native(folder);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw refused(
      path,
      `cannot be written: there is no folder ${folder}; name another file, or make the folder`,
      error,
    );
  }
  if (fs.statSync(real).isDirectory()) return real;
  throw refused(path, `cannot be written: ${folder} is a file, not a folder; name another file`);
}

/** The number of this process' descriptor that a path stands for; null if it stands for none. */
function descriptorOf(real: string): number | null {
  const [, pid, descriptor] = /^\/proc\/(\d+)(?:\/task\/\d+)?\/fd\/(\d+)$/.exec(real) ?? [];
  return Number(pid) === process.pid ? Number(descriptor) : null;
}

function describedBy(path: string, descriptor: number): Target {
  try {
    // Of no bytes: whether it is open for writing.
    fs.writeSync(descriptor, new Uint8Array(0));
    return { kind: 'descriptor', descriptor, stats: fs.fstatSync(descriptor) };
  } catch (error) {
    throw refused(
      path,
      `cannot be written: descriptor ${descriptor} is not open for writing here (${systemReason(error)}). A program between the shell ` +
        'and this one, as npx is, may not hand it on: start node_modules/.bin/lockstep itself, or name a file',
      error,
    );
  }
}

function existing(path: string, real: string, stats: fs.Stats, cannot: (cause: unknown) => CheckpointError): Target {
  if (stats.isDirectory()) throw refused(path, 'is a folder; name a file');
  if (stats.isSocket()) throw refused(path, 'is a socket, which is not written to; name a file');
  try {
    fs.accessSync(real, fs.constants.W_OK);
  } catch (error) {
    throw cannot(error);
  }
  if (!stats.isFile()) return { kind: 'stream', path: real, stats };
  try {
    probe(dirname(real));
  } catch {
    return { kind: 'written over', path: real };
  }
  return { kind: 'replaced', path: real, old: stats };
}

/** Whether a folder takes a new file: what its mode says is not all, as there are quotas, mounts and systems of other kinds. */
function probe(folder: string): void {
  const name = join(folder, TEMP_PREFIX + randomNonce());
  fs.closeSync(fs.openSync(name, 'wx'));
  fs.unlinkSync(name);
}
