/**
 * Tells in milliseconds whether the build is up to date, where starting nx takes seconds. The stamp is a digest of every
 * source and of what was built from it: names and sizes of the outputs, and tsc's own record of what it compiled
 * (.tsbuildinfo, which holds the sources' hashes). It stops matching when a source changes, and when anything but the
 * set-up builds from other sources.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fieldsOf, textsOf } from '../apps/cli/bin/foreign.mjs';

const STAMP = join('node_modules', '.cache', 'lockstep', 'build-stamp');
const SHARED = ['package.json', 'package-lock.json', 'tsconfig.base.json', 'tsconfig.json', 'nx.json'];
const NOT_SOURCES = new Set(['dist', 'dist-test', 'node_modules']);
/** Compiled into dist-test, by `npm test` alone. */
const OF_TESTS = /\.(test|fixture)\.ts$/;
/** What a compiler makes of a source, .ts or .mjs: the source's name, and the m of plain JavaScript. */
const OUTPUT = /^(.*?)(?:\.(m?)js(?:\.map)?|\.d\.(m?)ts(?:\.map)?)$/;

/**
 * Folders of the workspaces that package.json names.
 * @param {string} root
 */
function projects(root) {
  const { workspaces } = fieldsOf(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
  return textsOf(workspaces)
    .flatMap((pattern) => {
      if (!pattern.endsWith('/*')) return [join(root, pattern)];
      const parent = join(root, pattern.slice(0, -2));
      return readdirSync(parent)
        .sort()
        .map((name) => join(parent, name));
    })
    .filter((folder) => existsSync(join(folder, 'tsconfig.json')));
}

/**
 * Every file below `dir`, sorted, leaving out the folders in `without`.
 * @param {string} dir
 * @param {ReadonlySet<string>} [without]
 * @returns {string[]}
 */
function files(dir, without = new Set()) {
  if (!existsSync(dir)) return [];
  const entries = readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    if (entry.isDirectory()) return without.has(entry.name) ? [] : files(join(dir, entry.name), without);
    return entry.isFile() ? [join(dir, entry.name)] : [];
  });
}

/**
 * sha256 (hex) over everything that the build reads.
 * @param {string} root
 */
export function digestSources(root) {
  const hash = createHash('sha256');
  const shared = SHARED.map((name) => join(root, name));
  for (const file of [...shared, ...projects(root).flatMap((folder) => files(folder, NOT_SOURCES))]) {
    hash.update(`${JSON.stringify([relative(root, file), readFileSync(file, 'utf8')])}\n`);
  }
  return hash.digest('hex');
}

/**
 * sha256 (hex) over what the build wrote; undefined where a source has no output.
 * @param {string} root
 */
function digestOutputs(root) {
  const hash = createHash('sha256');
  for (const folder of projects(root)) {
    const source = join(folder, 'src');
    const dist = join(folder, 'dist');
    const ofTests = existsSync(join(folder, 'tsconfig.test.json')) ? OF_TESTS : /^$/;
    const compiled = files(source).filter(
      (file) => /\.(ts|mjs)$/.test(file) && !file.endsWith('.d.ts') && !ofTests.test(file),
    );
    const missing = compiled.some((file) => !existsSync(join(dist, relative(source, file).replace(/\.ts$/, '.js'))));
    if (missing) return undefined;
    for (const file of files(dist)) {
      const record = file.endsWith('.tsbuildinfo') ? readFileSync(file, 'utf8') : statSync(file).size;
      hash.update(`${JSON.stringify([relative(root, file), record])}\n`);
    }
  }
  return hash.digest('hex');
}

/**
 * Whether the outputs under `root` are those of its sources, built by the last set-up.
 * @param {string} root
 */
export function isBuilt(root) {
  if (!existsSync(join(root, STAMP))) return false;
  const [sources, outputs] = readFileSync(join(root, STAMP), 'utf8').split(' ');
  return sources === digestSources(root) && outputs === digestOutputs(root);
}

/**
 * Remembers a build that succeeded.
 * @param {string} root
 * @param {string} sources the digest from before it: an edit made meanwhile is built next time
 */
export function recordBuild(root, sources) {
  mkdirSync(dirname(join(root, STAMP)), { recursive: true });
  writeFileSync(join(root, STAMP), `${sources} ${digestOutputs(root) ?? 'incomplete'}`);
}

/**
 * Removes outputs whose source is gone (tsc leaves them, and a deleted test would go on running); returns how many.
 * @param {string} root
 */
export function pruneStale(root) {
  let removed = 0;
  for (const folder of projects(root)) {
    for (const dist of [join(folder, 'dist'), join(folder, 'dist-test')])
      for (const file of files(dist)) {
        const [, stem, ofJs, ofTypes] = OUTPUT.exec(relative(dist, file)) ?? [];
        const source = `${stem}.${ofJs || ofTypes ? 'mjs' : 'ts'}`;
        if (stem === undefined || existsSync(join(folder, 'src', source))) continue;
        rmSync(file);
        removed += 1;
      }
  }
  return removed;
}
