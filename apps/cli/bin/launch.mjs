/** Starts a program of this clone from a snapshot of the build (snapshot.mjs), or says what it was that keeps it from starting. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { lacksOf, surveyOf } from './clone.mjs';
import { codeOf, messageOf } from './foreign.mjs';
import { LaunchError, checkOpenFiles, openFilesError } from './failure.mjs';
import { writersIn } from './process-facts.mjs';
import { CloneChanged, makeSnapshot, missingIn, openSnapshot } from './snapshot.mjs';

/** @type {Objection} */
const CHANGING = { what: 'files of the build keep changing', writers: [] };
const ROOT = join(import.meta.dirname, '..', '..', '..');
const POLL_MS = 100;
/** A file that was changed so recently may be in the middle of being written. */
const FRESH_MS = 200;
/** nx may pause so long between two projects; compilers and npm are seen as long as they live. In a whole build, and in one with gaps. */
const PAUSE_MS = { whole: 3_000, gaps: 60_000 };
/** A whole build takes a minute on two cores, and several where others use them. */
const WAIT_MS = 10 * 60_000;

/** The clone is run as it is where it cannot be written: nothing changes there either. */
const READ_ONLY = new Set(['EACCES', 'EPERM', 'EROFS']);

const pause = (/** @type {number} */ milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const say = (/** @type {string} */ text) => process.stderr.write(`lockstep: ${text}\n`);

/**
 * What speaks against copying the clone as it is. With a code: it cannot be run as it is, unless somebody changes that.
 * @typedef {object} Objection
 * @property {string} what
 * @property {LaunchError['code']} [code]
 * @property {string} [fix]
 * @property {import('./process-facts.mjs').Writer[]} writers who may be changing it
 */

/**
 * @param {import('./clone.mjs').Survey} survey
 * @param {string} entry
 * @returns {Objection | undefined}
 */
function objectionTo({ changed }, entry) {
  const { packages, output, older } = lacksOf(ROOT, entry);
  const age = Date.now() - changed;
  const writersWithin = (/** @type {number} */ milliseconds) =>
    writersIn(ROOT).filter(({ ends }) => ends || age < milliseconds);
  if (packages !== undefined) {
    const what = `packages are not installed, or not completely: ${join(ROOT, packages)} is not there`;
    return { code: 'E_PACKAGES_MISSING', what, fix: 'npm run setup', writers: writersWithin(PAUSE_MS.gaps) };
  }
  if (output !== undefined) {
    const what = `Lockstep is not built, or not completely: ${join(ROOT, output)} is not there or empty`;
    return { code: 'E_NOT_BUILT', what, fix: 'npm run setup', writers: writersWithin(PAUSE_MS.gaps) };
  }
  if (older !== undefined) {
    const writers = writersWithin(PAUSE_MS.whole);
    if (writers.length > 0) return { what: `${join(ROOT, older)} is younger than what was built of it`, writers };
  }
  if (age >= 0 && age < FRESH_MS) return { what: 'files of the build were written a moment ago', writers: [] };
  return undefined;
}

/**
 * The folder to run `entry` from: a snapshot, or the clone where none can be made.
 * @param {string} entry
 * @throws {LaunchError} E_NOT_BUILT, E_PACKAGES_MISSING, E_BUILD_CHANGING
 */
async function folderFor(entry) {
  const deadline = performance.now() + WAIT_MS;
  for (let told = ''; ; await pause(POLL_MS)) {
    const survey = surveyOf(ROOT);
    const snapshot = openSnapshot(ROOT, survey);
    if (snapshot !== undefined) return snapshot;
    const objection = objectionTo(survey, entry);
    const folder = objection === undefined ? tryToMake(survey) : undefined;
    if (folder !== undefined) return folder;
    const { what, code, fix, writers } = objection ?? CHANGING;
    const who = writers.map(({ name, pid }) => `${name} (process ${pid})`).join(', ');
    if (code !== undefined && writers.length === 0) throw new LaunchError(code, `${what}; run: ${fix}`);
    if (performance.now() > deadline)
      throw new LaunchError(
        'E_BUILD_CHANGING',
        `${what}${who === '' ? '' : `, and ${who} works there`}; that did not end within ${WAIT_MS / 60_000} minutes: wait for it or end it, and try again`,
      );
    if (who !== '' && who !== told) say(`waiting for ${who}: ${what}`);
    told = who;
  }
}

/**
 * A snapshot made by now, or the clone itself where none can be made; undefined where the clone changed meanwhile.
 * @param {import('./clone.mjs').Survey} survey
 */
function tryToMake(survey) {
  try {
    makeSnapshot(ROOT, survey);
    return openSnapshot(ROOT, survey);
  } catch (error) {
    if (error instanceof CloneChanged) return undefined;
    if (openFilesError(error) !== undefined) throw error;
    if (!READ_ONLY.has(codeOf(error) ?? ''))
      say(
        `E_BUILD_COPY: no copy of the build could be made (${messageOf(error)}): what is started now does not survive another build here`,
      );
    return ROOT;
  }
}

/**
 * Runs the program `entry` (apps/cli/dist/main.js) in this process, or says on standard error what keeps it from starting and
 * leaves exit status 1.
 * @param {string} entry
 */
export async function launch(entry) {
  /** @type {string | undefined} */
  let folder;
  try {
    checkOpenFiles();
    folder = await folderFor(entry);
    await import(pathToFileURL(join(folder, entry)).href);
  } catch (error) {
    const failure = error instanceof LaunchError ? error : (openFilesError(error) ?? goneError(error, folder));
    const defect = error instanceof Error ? error.stack : String(error);
    process.stderr.write(`${failure?.message ?? `E_INTERNAL: ${defect}`}\n`);
    process.exitCode = 1;
  }
}

/**
 * The E_BUILD_GONE that `error` is: a file of the snapshot is not there; undefined where it is something else.
 * @param {unknown} error
 * @param {string | undefined} folder
 */
function goneError(error, folder) {
  if (folder === undefined || folder === ROOT) return undefined;
  const gone = missingIn(folder);
  if (gone === undefined) return undefined;
  return new LaunchError('E_BUILD_GONE', `${gone} was deleted; remove ${folder}, and the next start makes it anew`, {
    cause: error,
  });
}
