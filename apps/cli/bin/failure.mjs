/** What keeps a program of this clone from being started: found by looking, never read out of an error of Node's loader. */
import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { codeOf, fieldsOf } from './foreign.mjs';

/** Every code that a start can end with. libs/base says what each means (src/errors/start-errors.ts): it may not be built yet. */
export const LAUNCH_ERRORS = Object.freeze(
  /** @type {const} */ ([
    'E_NOT_BUILT',
    'E_PACKAGES_MISSING',
    'E_BUILD_CHANGING',
    'E_BUILD_COPY',
    'E_BUILD_GONE',
    'E_OPEN_FILES',
  ]),
);

export class LaunchError extends Error {
  /** @override */
  name = 'LaunchError';
  /**
   * @param {typeof LAUNCH_ERRORS[number]} code
   * @param {string} message what happened and what to do
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, options) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}

/**
 * So many files must be openable when a program starts. Node opens the modules of a program all at once: `lockstep` needs a
 * hundred for a moment (measured), and this leaves room for a few workers, of which `up` keeps four open each.
 */
export const OPEN_FILES = 192;

/** The limit that holds for this process, as the kernel tells it. */
function limitOfOpenFiles() {
  return /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 'unknown';
}

/** @throws {LaunchError} E_OPEN_FILES unless `wanted` more files can be opened at this moment, which is tried */
export function checkOpenFiles(wanted = OPEN_FILES) {
  /** @type {number[]} */
  const opened = [];
  const close = () => opened.splice(0).forEach((descriptor) => closeSync(descriptor));
  try {
    while (opened.length < wanted) opened.push(openSync('/dev/null', 'r'));
  } catch (error) {
    const what = `only ${opened.length} of ${wanted} more could be opened`;
    // What the message tells is read from files as well.
    close();
    const failure = openFilesError(error, what);
    if (failure !== undefined) throw failure;
    throw error;
  }
  close();
}

/**
 * The E_OPEN_FILES that `error` is, by its own code; undefined where it is something else.
 * @param {unknown} error
 * @param {string} [what] was tried
 */
export function openFilesError(error, what = `${triedBy(error)} could not be opened`) {
  if (codeOf(error) === 'EMFILE') {
    const inUse = readdirSync('/proc/self/fd').length - 1;
    return new LaunchError(
      'E_OPEN_FILES',
      `the limit of open files (ulimit -n) is ${limitOfOpenFiles()}, and ${inUse} are open: ${what}; raise it: ulimit -n 4096`,
      { cause: error },
    );
  }
  if (codeOf(error) === 'ENFILE')
    return new LaunchError(
      'E_OPEN_FILES',
      `the system's limit of open files, of all processes together, is reached: ${what}; raise it: sysctl fs.file-max`,
      { cause: error },
    );
  return undefined;
}

/**
 * The file that a call of the system failed on; the call where it names none.
 * @param {unknown} error
 */
function triedBy(error) {
  const { path, syscall } = fieldsOf(error);
  return String(path ?? syscall);
}
