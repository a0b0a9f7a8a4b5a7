/**
 * `npm run coverage`: how much of the code its tests run, as c8 counts it (.c8rc.json): one figure, and coverage/ with one a file.
 *
 *     npm run coverage                     # libs and apps, by their own tests, the simulation and the integration tests
 *     npm run coverage -- libs             # libs, by their own tests
 *     npm run coverage -- libs/exact       # one package
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const RAW = join(ROOT, 'coverage', 'raw');
/** What runs libs and apps together. */
const TOGETHER = [join('test', 'sim'), join('test', 'integration')];

/**
 * Packages of a folder, or the one that it is.
 * @param {string} folder
 */
const packagesOf = (folder) =>
  existsSync(join(ROOT, folder, 'package.json'))
    ? [folder]
    : readdirSync(join(ROOT, folder)).map((name) => join(folder, name));

/**
 * Compiled tests of a package.
 * @param {string} folder
 */
const testsOf = (folder) =>
  readdirSync(join(ROOT, folder, 'dist-test'), { encoding: 'utf8', recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .sort()
    .map((name) => join('dist-test', name));

/**
 * Runs Node and says whether it went well.
 * @param {readonly string[]} args
 * @param {string} folder
 */
const ran = (args, folder) =>
  spawnSync(process.execPath, args, {
    cwd: join(ROOT, folder),
    env: { ...process.env, NODE_V8_COVERAGE: RAW },
    stdio: ['ignore', 'inherit', 'inherit'],
  }).status === 0;

const asked = process.argv.slice(2);
const measured = (asked.length > 0 ? asked : ['libs', 'apps']).flatMap(packagesOf);
rmSync(join(ROOT, 'coverage'), { recursive: true, force: true });
/** @type {string[]} */
const failed = [];
for (const folder of asked.length > 0 ? measured : [...measured, ...TOGETHER]) {
  console.log(`== ${folder}`);
  if (!ran(['--test', '--test-reporter=dot', ...testsOf(folder)], folder)) failed.push(folder);
}
const c8 = join(ROOT, 'node_modules', 'c8', 'bin', 'c8.js');
const include = measured.flatMap((folder) => ['--include', `${folder}/src/**/*.ts`]);
const report = spawnSync(process.execPath, [c8, 'report', '--temp-directory', RAW, ...include], {
  cwd: ROOT,
  stdio: 'inherit',
});
if (failed.length > 0) console.log(`tests failed in ${failed.join(', ')}: the figure is of what ran`);
process.exitCode = failed.length === 0 && report.status === 0 ? 0 : 1;
