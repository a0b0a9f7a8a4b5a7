import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { writerKind } from './process-facts.mjs';

/** A clone whose program says what it is made of, and goes on to load the rest when it reads a line. */
const MAIN = `
  import { text } from '@lockstep/a';
  console.log(text, import.meta.url);
  process.stdin.once('data', async () => {
    const [late, paint] = [await import('./late.js'), await import('paint')];
    console.log('late', late.text, paint.colour);
    process.stdin.unref();
  });
  if (process.argv[2] !== 'wait') process.stdin.unref();
`;
/** The clone's folder. */
let root = '';

/**
 * @param {string} path
 * @param {string} text
 */
function put(path, text) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

const manifest = (/** @type {string} */ name, /** @type {object} */ more = {}) =>
  JSON.stringify({ name, type: 'module', ...more });

/** @param {string} colour of the package that the program uses */
function install(colour) {
  put(
    'node_modules/paint/package.json',
    manifest('paint', { main: 'index.js', dependencies: { pigment: '1', absent: '1' } }),
  );
  put('node_modules/paint/index.js', `export { default as colour } from 'pigment';`);
  put('node_modules/paint/node_modules/pigment/package.json', manifest('pigment', { main: 'index.js' }));
  put('node_modules/paint/node_modules/pigment/index.js', `export default '${colour}';`);
  put('node_modules/brush/package.json', manifest('brush'));
  mkdirSync(join(root, 'node_modules/@lockstep'), { recursive: true });
  symlinkSync('../../libs/a', join(root, 'node_modules/@lockstep/a'));
  put('node_modules/.package-lock.json', '{}');
}

/**
 * As a compiler: each project's record last.
 * @param {string} text
 */
function build(text) {
  put('libs/a/dist/index.js', `export const text = '${text}';`);
  put('libs/a/dist/.tsbuildinfo', '{}');
  put('apps/cli/dist/late.js', `export const text = '${text}';`);
  put('apps/cli/dist/main.js', MAIN);
  put('apps/cli/dist/.tsbuildinfo', '{}');
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lockstep-launch-'));
  chmodSync(root, 0o755);
  cpSync(import.meta.dirname, join(root, 'apps/cli/bin'), { recursive: true });
  put('libs/a/package.json', manifest('@lockstep/a', { main: 'dist/index.js' }));
  put('libs/a/src/index.ts', '');
  put('apps/cli/package.json', manifest('@lockstep/cli', { dependencies: { '@lockstep/a': '0.1.0', paint: '1' } }));
  for (const name of ['main', 'late']) put(`apps/cli/src/${name}.ts`, '');
  install('red');
  build('first');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const program = () => join(root, 'apps/cli/bin/lockstep.mjs');
const builds = () => readdirSync(join(root, '.lockstep/builds'));

/** @param {{ uid?: number, gid?: number }} [options] */
function start(options) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program()], {
    encoding: 'utf8',
    input: '',
    ...options,
  });
  return { status, stdout, stderr };
}

/** A program that runs until `finish`. */
async function running() {
  const child = spawn(process.execPath, [program(), 'wait'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  const closed = new Promise((resolve) => child.on('close', resolve));
  const started = new Promise((resolve) =>
    child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
      output += text;
      resolve(text);
    }),
  );
  await Promise.race([started, closed]);
  return {
    child,
    closed,
    finish: async () => {
      child.stdin.end('go\n');
      await closed;
      return output;
    },
  };
}

test('a running program loads what it needs later from the build that it began with, whatever happens to the clone', async () => {
  const job = await running();
  for (const folder of ['apps/cli/dist', 'libs/a', 'node_modules', 'apps/cli/src'])
    rmSync(join(root, folder), { recursive: true });
  assert.match(await job.finish(), /^first file:.*\.lockstep.*\nlate first red\n$/);
});

test('the next build, and packages installed anew, are what the next start runs', async () => {
  assert.match(start().stdout, /^first /);
  build('second');
  assert.match(start().stdout, /^second /);
  rmSync(join(root, 'node_modules'), { recursive: true });
  install('blue');
  assert.match(await (await running()).finish(), /^second .*\nlate second blue\n$/);
});

test('a build that writes the same again changes nothing but the times, and is a build of its own', () => {
  start();
  const [first] = builds();
  build('first');
  start();
  assert.notEqual(builds()[0], first);
});

test('a copy is kept as long as a process runs from it, or one that it started, and then removed', async () => {
  const job = await running();
  const [first] = builds();
  const child = join(root, '.lockstep/builds', first, 'child.js');
  const orphan = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)', child]);
  build('second');
  start();
  assert.equal(builds().length, 2);
  job.child.kill('SIGKILL');
  await job.closed;
  build('third');
  start();
  assert.ok(builds().includes(first));
  const gone = new Promise((resolve) => orphan.on('exit', resolve));
  orphan.kill('SIGKILL');
  await gone;
  build('fourth');
  assert.match(start().stdout, /^fourth /);
  assert.equal(builds().length, 1);
});

test('of packages those that are used are kept', () => {
  start();
  const [packages] = readdirSync(join(root, '.lockstep/packages'));
  assert.deepEqual(readdirSync(join(root, '.lockstep/packages', packages, 'node_modules')), ['paint']);
});

test('starts at the same time make one copy and leave nothing beside it', async () => {
  const jobs = await Promise.all([1, 2, 3].map(running));
  for (const job of jobs) assert.match(await job.finish(), /late first red/);
  assert.equal(builds().length, 1);
  assert.deepEqual(readdirSync(join(root, '.lockstep')).sort(), ['builds', 'packages']);
  assert.deepEqual(readdirSync(join(root, '.lockstep/builds', builds()[0], 'users')), []);
});

test('without any output it says that nothing is built, and names a file that is not there', () => {
  for (const project of ['apps/cli', 'libs/a']) rmSync(join(root, project, 'dist'), { recursive: true });
  const { status, stderr } = start();
  assert.match(stderr, /^E_NOT_BUILT: .*apps\/cli\/dist\/main\.js is not there.*; run: npm run setup\n$/);
  assert.equal(status, 1);
});

test('a project whose record is not there, or an empty output, is not built completely', () => {
  rmSync(join(root, 'libs/a/dist/.tsbuildinfo'));
  assert.match(start().stderr, /^E_NOT_BUILT: .*libs\/a\/dist\/\.tsbuildinfo/);
  build('');
  put('libs/a/dist/index.js', '');
  assert.match(start().stderr, /^E_NOT_BUILT: .*libs\/a\/dist\/index\.js/);
});

test('without packages it says that, and not that nothing is built', () => {
  rmSync(join(root, 'node_modules'), { recursive: true });
  assert.match(start().stderr, /^E_PACKAGES_MISSING: .*\.package-lock\.json is not there.*; run: npm run setup\n$/);
});

test('a package that is used and not there is named', () => {
  rmSync(join(root, 'node_modules/paint'), { recursive: true });
  assert.match(start().stderr, /^E_PACKAGES_MISSING: .*node_modules\/paint is not there/);
});

test('with a limit of 64 open files it names the limit', () => {
  const { status, stdout, stderr } = spawnSync(
    'bash',
    ['-c', `ulimit -n 64; exec "$0" "$@"`, process.execPath, program()],
    {
      encoding: 'utf8',
    },
  );
  assert.match(
    stderr,
    /^E_OPEN_FILES: the limit of open files \(ulimit -n\) is 64, and \d+ are open: .*ulimit -n 4096\n$/,
  );
  assert.deepEqual([status, stdout], [1, '']);
});

test('what the program itself fails by is told as it is', () => {
  put('apps/cli/dist/main.js', `throw new Error('of its own')`);
  const { status, stderr } = start();
  assert.match(stderr, /Error: of its own/);
  assert.equal(status, 1);
});

test('a copy of which a part was deleted is named', () => {
  start();
  const file = join(root, '.lockstep/builds', builds()[0], 'libs/a/dist/index.js');
  rmSync(file);
  const { status, stderr } = start();
  assert.ok(stderr.startsWith(`E_BUILD_GONE: ${file} was deleted; remove `), stderr);
  assert.equal(status, 1);
});

/**
 * A process that looks as a compiler does, in a project of the clone, until it is ended.
 * @returns {Promise<import('node:child_process').ChildProcess>}
 */
function compiler() {
  put('tsc', `console.log('here'); setInterval(() => undefined, 1000);`);
  const child = spawn(process.execPath, [join(root, 'tsc'), '-b'], {
    cwd: join(root, 'libs/a'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve) => child.stdout.once('data', () => resolve(child)));
}

for (const [what, begin] of Object.entries({
  'that removed an output': () => rmSync(join(root, 'libs/a/dist/index.js')),
  'of a source that is younger than its output': () => {
    build('half');
    put('libs/a/src/index.ts', '// changed');
  },
})) {
  test(`a build ${what} is waited for, and the whole build is run`, async (context) => {
    start();
    const tsc = await compiler();
    context.after(() => tsc.kill('SIGKILL'));
    begin();
    const child = spawn(process.execPath, [program()], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ text) => (output += text));
    /** @type {Promise<string>} */
    const closed = new Promise((resolve) => child.on('close', () => resolve('it ended')));
    /** @type {Promise<string>} */
    const said = new Promise((resolve) => child.stderr.setEncoding('utf8').once('data', resolve));
    const told = await Promise.race([said, closed]);
    assert.ok(told.startsWith(`lockstep: waiting for tsc -b (process ${tsc.pid}): `), told);
    assert.equal(output, '');
    build('whole');
    tsc.kill('SIGKILL');
    await closed;
    assert.match(output, /^whole /);
  });
}

test('a clone that cannot be written is run as it is, without a word', () => {
  // Root may write everywhere: then somebody else starts it.
  const who = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  chmodSync(root, 0o555);
  const { status, stdout, stderr } = start(who);
  chmodSync(root, 0o755);
  assert.equal(stderr, '');
  assert.match(stdout, new RegExp(`^first file://${root}/apps/cli/dist/main.js`));
  assert.deepEqual([status, existsSync(join(root, '.lockstep'))], [0, false]);
});

test('compilers, nx and installations are told from what else runs in a clone', () => {
  const kind = (/** @type {string} */ line) => writerKind(line.split(' '));
  assert.deepEqual(kind('node /c/node_modules/.bin/tsc -b'), { name: 'tsc -b', ends: true });
  assert.deepEqual(kind('node --no-warnings /c/node_modules/typescript/bin/tsc -b -w'), {
    name: 'tsc -b -w',
    ends: false,
  });
  assert.deepEqual(kind('node /c/node_modules/.bin/nx run worker:serve'), { name: 'nx run worker:serve', ends: false });
  assert.deepEqual(writerKind(['npm ci --ignore-scripts', '']), { name: 'npm ci --ignore-scripts', ends: true });
  assert.deepEqual(kind('node /usr/bin/npm-cli.js install ws')?.ends, true);
  for (const line of ['npm exec lockstep up', 'npm start', 'node main.js tsc', 'vi tsc', 'node', 'sh -c tsc'])
    assert.equal(kind(line), undefined, line);
});
