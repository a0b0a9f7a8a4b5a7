/**
 * Programs run from a copy of the build that nothing changes any more, so that no build, `npm ci` or other branch in the same
 * clone reaches into a running job: what a job loads or starts later comes from the copy as well. Below .lockstep/ in the clone:
 *
 *     builds/DIGEST/        apps/ and libs/ as far as they are run (copies: a compiler writes in place), node_modules/ of links
 *     packages/DIGEST/      what they use of node_modules (hard links: npm writes new files), shared by builds
 *     work~PID~START~N/     either of them while it is made or removed
 */
import {
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
} from 'node:fs';
import { rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { manifestOf, projectsOf, surveyOf } from './clone.mjs';
import { codeOf, fieldsOf, messageOf, textsOf } from './foreign.mjs';
import { ownIdentity, startOf } from './process-facts.mjs';
import { prepareUsers, tryToRemove, use } from './snapshot-users.mjs';

export const HOME = '.lockstep';
/** In a snapshot: which packages it uses. */
const RECORD = 'snapshot.json';
/** Of a package only people and compilers read these. */
const NOT_RUN = /\.map$|\.[cm]?ts$|\.tsx$|\.md$/;
/** What is younger and belongs to nobody may be somebody's next step. Milliseconds. */
const SETTLED_MS = 10 * 60_000;
let works = 0;

/** @typedef {import('./clone.mjs').Survey} Survey */

/** The clone changed while it was copied: it is to be looked at anew. */
export class CloneChanged extends Error {
  /** @override */
  name = 'CloneChanged';
}

/**
 * The snapshot of that digest, marked as used by this process; undefined where there is none.
 * @param {string} root
 * @param {Survey} survey
 */
export function openSnapshot(root, { digest }) {
  const snapshot = join(root, HOME, 'builds', digest);
  return existsSync(snapshot) && use(snapshot) ? snapshot : undefined;
}

/**
 * Makes the snapshot of the clone as the survey found it, unless it is there, and removes those that nobody uses.
 * @param {string} root
 * @param {Survey} survey
 * @throws {CloneChanged} when the clone is not as the survey found it any more; and what the file system throws
 */
export function makeSnapshot(root, survey) {
  const home = join(root, HOME);
  for (const folder of ['builds', 'packages']) mkdirSync(join(home, folder), { recursive: true });
  const packages = join(home, 'packages', survey.packages);
  const snapshot = join(home, 'builds', survey.digest);
  const unchanged = () => {
    if (surveyOf(root).digest !== survey.digest) throw new CloneChanged();
  };
  try {
    if (!existsSync(packages))
      makeWhole(home, packages, (folder) => {
        linkPackages(root, folder);
        unchanged();
      });
    if (!existsSync(snapshot))
      makeWhole(home, snapshot, (folder) => {
        copyBuild(root, folder, { place: snapshot, packages, files: survey.files });
        unchanged();
      });
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && existsSync(home)) throw new CloneChanged(messageOf(error), { cause: error });
    throw error;
  }
  prune(home, survey);
}

/**
 * A new name beside the folders that others see.
 * @param {string} home
 */
function workFolder(home) {
  const { pid, start } = ownIdentity();
  return join(home, `work~${pid}~${start}~${works++}`);
}

/**
 * Calls `make` with a new folder and puts that in its place; one that another process finished first is kept.
 * @param {string} home
 * @param {string} place
 * @param {(folder: string) => void} make
 */
function makeWhole(home, place, make) {
  const folder = workFolder(home);
  try {
    mkdirSync(folder);
    make(folder);
    renameSync(folder, place);
  } catch (error) {
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST') throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The packages that the projects use and those that these use, at their places.
 * @param {string} root
 * @param {string} folder
 */
function linkPackages(root, folder) {
  const linked = new Set();
  for (const path of packagesUsed(root)) {
    // A package inside another one comes with that.
    const outermost = /^.*?node_modules\/(@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? path;
    if (!linked.has(outermost)) linkFolder(join(root, outermost), join(folder, outermost));
    linked.add(outermost);
  }
}

/**
 * Folders relative to `root`; by what is installed and not by a record of it, so that none is forgotten.
 * @param {string} root
 */
function packagesUsed(root) {
  /** @type {Set<string>} */
  const found = new Set();
  const own = new Set(projectsOf(root).map((project) => manifestOf(join(root, project)).name));
  const follow = (/** @type {string} */ user) => {
    for (const name of manifestOf(join(root, user)).uses) {
      const place = own.has(name) ? undefined : placeOf(root, user, name);
      if (place === undefined || found.has(place)) continue;
      found.add(place);
      follow(place);
    }
  };
  for (const project of projectsOf(root)) follow(project);
  return found;
}

/**
 * Where Node finds package `name` for code in the folder `user`, relative to `root`.
 * @param {string} root
 * @param {string} user
 * @param {string} name
 */
function placeOf(root, user, name) {
  for (let folder = user; ; folder = dirname(folder)) {
    const place = join(folder, 'node_modules', name);
    if (existsSync(join(root, place, 'package.json'))) return place;
    if (folder === '.') return undefined;
  }
}

/**
 * @param {string} from
 * @param {string} to
 */
function linkFolder(from, to) {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) linkFolder(source, target);
    else if (entry.isFile() && !NOT_RUN.test(entry.name)) linkOrCopy(source, target);
  }
}

/**
 * Another file system, another owner, too many links: a copy does as well, and fails where the reason is another one.
 * @param {string} source
 * @param {string} target
 */
function linkOrCopy(source, target) {
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target, constants.COPYFILE_FICLONE);
  }
}

/**
 * Puts the build into `folder`.
 * @param {string} root
 * @param {string} folder
 * @param {{ place: string, packages: string, files: string[] }} from `place`: where the folder will be, for links that lead from there
 */
function copyBuild(root, folder, { place, packages, files }) {
  for (const file of files) {
    const target = join(folder, relative(root, file));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(file, target, constants.COPYFILE_FICLONE);
  }
  const link = (/** @type {string} */ name, /** @type {string} */ to) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    symlinkSync(relative(dirname(join(place, name)), to), join(folder, name));
  };
  const scopes = new Set();
  for (const project of projectsOf(root)) {
    const name = join('node_modules', manifestOf(join(root, project)).name);
    link(name, join(place, project));
    scopes.add(dirname(name));
  }
  for (const name of readdirSync(join(packages, 'node_modules')).map((entry) => join('node_modules', entry)))
    if (!scopes.has(name)) link(name, join(packages, name));
  // Packages of one project alone, where npm could not lift them.
  for (const project of projectsOf(packages, 'node_modules')) {
    const name = join(project, 'node_modules');
    link(name, join(packages, name));
  }
  prepareUsers(folder);
  writeFileSync(
    join(folder, RECORD),
    JSON.stringify({ packages: basename(packages), files: files.map((file) => relative(root, file)) }),
  );
}

/**
 * Removes what is neither of this survey nor used, and what processes that ended left unfinished.
 * @param {string} home
 * @param {Survey} survey
 */
function prune(home, survey) {
  /** @type {Set<string | undefined>} */
  const kept = new Set([survey.packages]);
  for (const name of readdirSync(join(home, 'builds'))) {
    const snapshot = join(home, 'builds', name);
    const aside = workFolder(home);
    if (name !== survey.digest && tryToRemove(snapshot, aside)) rmSync(aside, { recursive: true, force: true });
    else kept.add(recordOf(snapshot)?.packages);
  }
  const settled = (/** @type {string} */ path) =>
    Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > SETTLED_MS;
  for (const name of readdirSync(join(home, 'packages')))
    if (!kept.has(name) && settled(join(home, 'packages', name)))
      rmSync(join(home, 'packages', name), { recursive: true, force: true });
  for (const name of readdirSync(home)) {
    const [, pid, start] = /^work~(\d+)~(\d+)~/.exec(name) ?? [];
    if (pid !== undefined && startOf(pid) !== start && settled(join(home, name)))
      rmSync(join(home, name), { recursive: true, force: true });
  }
}

/**
 * A path of the snapshot where something was when it was made and is not now; undefined: there is none.
 * @param {string} snapshot
 */
export function missingIn(snapshot) {
  const { files } = recordOf(snapshot) ?? { files: [RECORD] };
  const links = ['node_modules', join('node_modules', '@lockstep')].flatMap((folder) => {
    const entries = existsSync(join(snapshot, folder)) ? readdirSync(join(snapshot, folder)) : [''];
    return entries.map((name) => join(folder, name));
  });
  return [...files, ...links].map((name) => join(snapshot, name)).find((path) => !existsSync(path));
}

/**
 * What a snapshot is made of; undefined where it is gone.
 * @param {string} snapshot
 */
function recordOf(snapshot) {
  try {
    const { packages, files } = fieldsOf(JSON.parse(readFileSync(join(snapshot, RECORD), 'utf8')));
    return { packages: typeof packages === 'string' ? packages : undefined, files: textsOf(files) };
  } catch (error) {
    // Somebody else removed it.
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
