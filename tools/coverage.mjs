/**
 * `npm run coverage`: how much of libs and apps their own tests and the simulation run, as c8 counts it (.c8rc.json): one figure, and
 * coverage/ with it a file.
 *
 *     npm run coverage                     # all of it
 *     npm run coverage -- libs/exact       # what some packages' tests cover
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** @param {string} folder */
const within = (folder) => readdirSync(join(ROOT, folder)).map((name) => join(folder, name));

/**
 * A package's tests: those that are compiled, and those of what runs before the build.
 * @param {string} folder
 */
const testsOf = (folder) =>
  ['dist-test', 'bin'].flatMap((place) =>
    existsSync(join(ROOT, folder, place))
      ? readdirSync(join(ROOT, folder, place), { encoding: 'utf8', recursive: true })
          .filter((name) => /\.test\.m?js$/.test(name))
          .sort()
          .map((name) => join(place, name))
      : [],
  );

const asked = process.argv.slice(2);
const packages = asked.length > 0 ? asked : [...within('libs'), ...within('apps'), join('test', 'sim')];
/** @type {string[]} */
const failed = [];
for (const folder of packages) {
  console.log(`== ${folder}`);
  const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=dot', ...testsOf(folder)], {
    cwd: join(ROOT, folder),
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) failed.push(folder);
}
if (failed.length > 0) console.log(`tests failed in ${failed.join(', ')}: the figure is of what ran`);
process.exitCode = failed.length === 0 ? 0 : 1;
