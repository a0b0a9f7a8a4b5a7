/** What /proc tells of the processes of this machine, as far as this process may see them. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, relative } from 'node:path';
import { codeOf } from './foreign.mjs';

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // A process that ended meanwhile, or one of another user. Anything else is not about that process.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(codeOf(error) ?? '')) return '';
    throw error;
  }
}

const linkOf = (/** @type {string} */ path) => {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
};

/**
 * Fields of /proc/PID/stat from the third on; the second, the name, may itself hold spaces and parentheses. Empty: no such process.
 * @param {number | string} pid
 */
function statOf(pid) {
  const stat = read(`/proc/${pid}/stat`);
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/**
 * Start of a process in clock ticks since boot, which tells it from a later one of the same id; '' where there is none.
 * @param {number | string} pid
 */
export function startOf(pid) {
  return statOf(pid)[19] ?? '';
}

/** This boot of the machine. */
export function bootId() {
  return read('/proc/sys/kernel/random/boot_id').trim();
}

/**
 * What tells a process from all others, on this machine and on others that share a disk with it.
 * @typedef {ReturnType<typeof ownIdentity>} Identity
 */

/** The identity of this process. */
export function ownIdentity() {
  const { pid } = process;
  return { host: hostname(), boot: bootId(), namespace: linkOf('/proc/self/ns/pid'), pid, start: startOf(pid) };
}

/**
 * Whether that process may still live. One that cannot be seen from here counts as alive.
 * @param {Identity} identity
 */
export function mayLive({ host, boot, namespace, pid, start }) {
  const own = ownIdentity();
  if (host === own.host && boot !== own.boot) return false;
  if (boot !== own.boot || namespace !== own.namespace) return true;
  return startOf(pid) === start;
}

/** Every process that can be seen: its id and its arguments. */
export function processes() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => ({ pid: Number(pid), args: read(`/proc/${pid}/cmdline`).split('\0').slice(0, -1) }))
    .filter(({ args }) => args.length > 0);
}

function ownLine() {
  /** @type {Set<number>} */
  const line = new Set();
  for (let pid = process.pid; pid > 0 && !line.has(pid); pid = Number(statOf(pid)[1] ?? 0)) line.add(pid);
  return line;
}

/**
 * A process that builds or installs.
 * @typedef {object} Writer
 * @property {number} pid
 * @property {string} name
 * @property {boolean} ends it writes as long as it lives
 */

/** npm calls itself "npm ci". */
const INSTALLS = /^npm (ci|clean-install|install|i|add|update|up|uninstall|rm|prune|dedupe|rebuild)\b/;

/**
 * What a process does to a clone, by its arguments: `tsc` and `npm` write until they end; `nx` and a `tsc` that watches may
 * live on without writing. undefined: nothing.
 * @param {readonly string[]} args
 * @returns {Omit<Writer, 'pid'> | undefined}
 */
export function writerKind(args) {
  if (INSTALLS.test(args.join(' '))) return { name: args.join(' ').trim(), ends: true };
  const script =
    basename(args[0] ?? '') === 'node' ? args.findIndex((arg, index) => index > 0 && !arg.startsWith('-')) : 0;
  const [program = '', ...rest] = script < 0 ? [] : args.slice(script);
  const name = [basename(program), ...rest].join(' ');
  if (/^npm(-cli\.js)?$/.test(basename(program)))
    return INSTALLS.test(`npm ${rest.join(' ')}`) ? { name, ends: true } : undefined;
  if (/^_?tsc(\.js)?$/.test(basename(program))) return { name, ends: !rest.some((arg) => /^(-w|--watch)$/.test(arg)) };
  if (/^nx(\.js)?$/.test(basename(program))) return { name, ends: false };
  return undefined;
}

/**
 * The processes that build or install in the clone at `root`, but for this one and those that it comes from.
 * @param {string} root
 * @returns {Writer[]}
 */
export function writersIn(root) {
  const own = ownLine();
  return processes().flatMap(({ pid, args }) => {
    const kind = own.has(pid) ? undefined : writerKind(args);
    if (kind === undefined) return [];
    const folder = linkOf(`/proc/${pid}/cwd`);
    return folder !== '' && /^((apps|libs|test)\/[^/]+)?$/.test(relative(root, folder)) ? [{ pid, ...kind }] : [];
  });
}
