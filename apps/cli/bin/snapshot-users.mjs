/**
 * Who runs from a snapshot. A process leaves a file in it that names the process; those that this one starts have the
 * snapshot's path among their arguments. Whoever removes a snapshot announces it first and looks for users then, a new user
 * looks for the announcement after it left its file: so at least one of the two sees the other.
 */
import { chmodSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, fieldsOf } from './foreign.mjs';
import { mayLive, ownIdentity, processes } from './process-facts.mjs';

const USERS = 'users';
const REMOVAL = 'removal.json';

/**
 * Makes room for users' files in a new snapshot: of any user of this machine, as in /tmp.
 * @param {string} snapshot
 */
export function prepareUsers(snapshot) {
  mkdirSync(join(snapshot, USERS));
  chmodSync(join(snapshot, USERS), 0o1777);
}

/**
 * The process that a file names; undefined where it cannot be read, or is being written.
 * @param {string} file
 * @returns {import('./process-facts.mjs').Identity | undefined}
 */
function identityIn(file) {
  try {
    const { host, boot, namespace, pid, start } = fieldsOf(JSON.parse(readFileSync(file, 'utf8')));
    if (typeof host !== 'string' || typeof boot !== 'string' || typeof namespace !== 'string') return undefined;
    if (typeof pid !== 'number' || typeof start !== 'string') return undefined;
    return { host, boot, namespace, pid, start };
  } catch {
    return undefined;
  }
}

/**
 * Whether a process that may live has announced that it removes the snapshot.
 * @param {string} snapshot
 */
function isBeingRemoved(snapshot) {
  const remover = identityIn(join(snapshot, REMOVAL));
  return remover !== undefined && mayLive(remover);
}

/**
 * Marks the snapshot as used by this process until its end.
 * @param {string} snapshot
 * @returns {boolean} false: it is being removed, or is gone
 */
export function use(snapshot) {
  const own = ownIdentity();
  const file = join(snapshot, USERS, `${own.pid}-${own.start}`);
  try {
    writeFileSync(file, JSON.stringify(own));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    // On a file system that this process cannot write, nobody who sees this process removes anything: it is in the arguments
    // of what it starts. A full disk is no reason not to start either.
    return !isBeingRemoved(snapshot);
  }
  const leave = () => rmSync(file, { force: true });
  if (isBeingRemoved(snapshot)) {
    leave();
    return false;
  }
  process.on('exit', leave);
  return true;
}

/** @param {string} snapshot */
function isUsed(snapshot) {
  const users = readdirSync(join(snapshot, USERS)).map((name) => identityIn(join(snapshot, USERS, name)));
  // What cannot be read is being written.
  if (users.some((user) => user === undefined || mayLive(user))) return true;
  return processes().some(({ args }) => args.some((arg) => arg.includes(`${snapshot}/`)));
}

/**
 * Moves the snapshot to `aside` if no living process uses it.
 * @param {string} snapshot
 * @param {string} aside
 * @returns {boolean} whether it is there now
 */
export function tryToRemove(snapshot, aside) {
  if (isBeingRemoved(snapshot)) return false;
  try {
    writeFileSync(join(snapshot, REMOVAL), JSON.stringify(ownIdentity()));
    if (isUsed(snapshot)) rmSync(join(snapshot, REMOVAL), { force: true });
    else {
      renameSync(snapshot, aside);
      return true;
    }
  } catch (error) {
    // Another process was quicker, or may remove it where this one may not.
    if (!['ENOENT', 'EACCES', 'EPERM', 'EROFS'].includes(codeOf(error) ?? '')) throw error;
  }
  return false;
}
