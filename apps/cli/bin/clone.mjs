/** What is built in a clone, found by looking at its files: which files a program needs, whether they are all there, and of what age. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { codeOf, fieldsOf } from './foreign.mjs';
import { bootId } from './process-facts.mjs';

/** Workspaces whose code is run; those of test/ import it, and nothing imports them. */
const PARENTS = ['libs', 'apps'];
/** Neither needed to run nor changed by a build. */
const NOT_RUN = new Set([
  'src',
  'node_modules',
  'bin',
  'dist-test',
  'tsconfig.json',
  'tsconfig.bin.json',
  'tsconfig.lib.json',
  'tsconfig.test.json',
]);
const OF_TESTS = /\.(test|fixture)\.ts$/;
const NOT_READ = /\.d\.[cm]?ts$|\.map$|\.tsbuildinfo$/;
/**
 * A clone as it is at one moment.
 * @typedef {object} Survey
 * @property {string} digest of all of it
 * @property {string} packages digest of what is installed
 * @property {string[]} files
 * @property {number} changed when a file was changed last, in milliseconds since 1970
 */

/**
 * What we read of a package.json: the names of its package, and of those that it uses.
 * @typedef {object} Manifest
 * @property {string} name
 * @property {string[]} dependencies
 * @property {string[]} uses dependencies, those too that may be absent or that another package brings
 */

/** npm's own record of what it installed, which it writes last. */
export const INSTALLED = join('node_modules', '.package-lock.json');

/**
 * Files below `dir`; none where it is not there, or is removed meanwhile.
 * @param {string} dir
 * @param {ReadonlySet<string>} [skip] names of entries of `dir` itself
 * @returns {Generator<string, void>}
 */
function* filesBelow(dir, skip = new Set()) {
  let entries;
  try {
    entries = readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  for (const entry of entries) {
    if (skip.has(entry.name) || entry.name.startsWith('.')) continue;
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/**
 * As statSync, but undefined for what is not there.
 * @param {string} path
 */
const look = (path) => statSync(path, { throwIfNoEntry: false });

/**
 * Folders of the workspaces, such as libs/comm, relative to `root`: those that hold `file`.
 * @param {string} root
 */
export function projectsOf(root, file = 'package.json') {
  return PARENTS.flatMap((parent) => {
    const folder = join(root, parent);
    return existsSync(folder) ? readdirSync(folder).map((name) => join(parent, name)) : [];
  }).filter((project) => existsSync(join(root, project, file)));
}

/**
 * All files that programs of this clone are made of, packages aside, and a digest over their names, sizes and times. A build
 * that writes a file changes the digest, even with the same content: times of change cannot be set back.
 * @param {string} root
 * @returns {Survey}
 */
export function surveyOf(root) {
  const projects = projectsOf(root).map((project) => join(root, project));
  const files = projects.flatMap((project) => [...filesBelow(project, NOT_RUN)].filter((file) => !NOT_READ.test(file)));
  // After a crash of the machine, what was copied before it need not be on the disk.
  const seed = `1 ${bootId()}\n`;
  // What is deleted changes the folder that it was in.
  const folders = projects.flatMap((project) => [project, join(project, 'dist')]);
  let changed = Math.max(0, ...folders.map((folder) => look(folder)?.ctimeMs ?? 0));
  const line = (/** @type {string} */ file) => {
    const found = look(file);
    if (found === undefined) return `${file} -\n`;
    changed = Math.max(changed, found.ctimeMs);
    return `${file.slice(root.length)} ${found.size} ${found.mtimeMs} ${found.ctimeMs}\n`;
  };
  const digestOf = (/** @type {string} */ text) => createHash('sha256').update(text).digest('hex').slice(0, 24);
  const packages = digestOf(seed + line(join(root, INSTALLED)));
  return { digest: digestOf(packages + files.sort().map(line).join('')), packages, files, changed };
}

/**
 * The package.json in `folder`.
 * @param {string} folder
 * @returns {Manifest}
 */
export function manifestOf(folder) {
  const manifest = fieldsOf(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')));
  const [dependencies, optional, peers] = ['dependencies', 'optionalDependencies', 'peerDependencies'].map((key) =>
    Object.keys(fieldsOf(manifest[key])),
  );
  const name = typeof manifest.name === 'string' ? manifest.name : '';
  return { name, dependencies, uses: [...new Set([...dependencies, ...optional, ...peers])] };
}

/**
 * The project that `entry` (apps/cli/dist/main.js) is of and the projects that this one uses, relative to `root`.
 * @param {string} root
 * @param {string} entry
 */
function closureOf(root, entry) {
  const all = new Map(
    projectsOf(root).map((project) => {
      const { name, dependencies } = manifestOf(join(root, project));
      return [name, { project, dependencies }];
    }),
  );
  /** @type {Set<string>} */
  const found = new Set();
  const add = (/** @type {string} */ name) => {
    const known = all.get(name);
    if (known === undefined || found.has(known.project)) return;
    found.add(known.project);
    for (const used of known.dependencies) add(used);
  };
  for (const [name, { project }] of all) if (entry.startsWith(`${project}/`)) add(name);
  return [...found];
}

/**
 * What of the build is not there, and what is older than its source, of the projects that `entry` needs. Paths are relative to
 * `root`; undefined: nothing.
 * @param {string} root
 * @param {string} entry
 */
export function lacksOf(root, entry) {
  /** @type {{ packages?: string, output?: string, older?: string }} */
  const lacks = {};
  if (look(join(root, INSTALLED)) === undefined) lacks.packages = INSTALLED;
  if (look(join(root, entry)) === undefined) lacks.output = entry;
  for (const project of closureOf(root, entry)) {
    for (const name of manifestOf(join(root, project)).dependencies) {
      const places = [join(project, 'node_modules', name), join('node_modules', name)];
      if (places.every((place) => look(join(root, place)) === undefined)) lacks.packages ??= places[1];
    }
    const source = join(root, project, 'src');
    const dist = join(root, project, 'dist');
    // The compiler's record of what it compiled, which it writes last.
    const record = look(join(dist, '.tsbuildinfo'));
    for (const file of filesBelow(source)) {
      if (!/\.(ts|mjs)$/.test(file) || file.endsWith('.d.ts') || OF_TESTS.test(file)) continue;
      const output = join(dist, relative(source, file).replace(/\.ts$/, '.js'));
      // An output is never empty: that one is being written.
      if (!look(output)?.size) lacks.output ??= relative(root, output);
      // Clocks of file systems tick every few milliseconds; compiling takes longer.
      if (record !== undefined && (look(file)?.mtimeMs ?? 0) >= record.mtimeMs) lacks.older ??= relative(root, file);
    }
    if (record === undefined && existsSync(source)) lacks.output ??= relative(root, join(dist, '.tsbuildinfo'));
  }
  return lacks;
}
