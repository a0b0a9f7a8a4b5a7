import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { digestSources, isBuilt, pruneStale, recordBuild } from './build-stamp.mjs';
import { exitCodeOf, packagesMatch } from './setup.mjs';

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

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lockstep-setup-'));
  put('package.json', JSON.stringify({ workspaces: ['libs/*', 'test/integration'] }));
  for (const name of ['package-lock.json', 'tsconfig.base.json', 'tsconfig.json', 'nx.json']) put(name, '{}');
  for (const project of ['libs/a', 'test/integration']) {
    put(`${project}/package.json`, '{}');
    put(`${project}/tsconfig.json`, '{}');
    put(`${project}/src/ring.ts`, 'export const n = 1;\n');
    put(`${project}/dist/ring.js`, 'export const n = 1;\n');
    put(`${project}/dist/.tsbuildinfo`, '{"hash":1}');
  }
  recordBuild(root, digestSources(root));
});

afterEach(() => rmSync(root, { recursive: true }));

test('a build just recorded is up to date', () => {
  assert.equal(isBuilt(root), true);
});

test('a clone without a record is not up to date', () => {
  rmSync(join(root, 'node_modules'), { recursive: true });
  assert.equal(isBuilt(root), false);
});

for (const [what, change] of Object.entries({
  'a changed source': () => put('libs/a/src/ring.ts', 'export const n = 2;\n'),
  'a new source': () => put('libs/a/src/mesh.ts', ''),
  'a new source in a subfolder': () => put('libs/a/src/deep/mesh.ts', ''),
  'a source that is gone': () => rmSync(join(root, 'libs/a/src/ring.ts')),
  'a changed file beside src': () => put('libs/a/native/ops.cc', ''),
  'a changed tsconfig of a project': () => put('test/integration/tsconfig.json', '{ }'),
  'a changed shared tsconfig': () => put('tsconfig.base.json', '{ }'),
  'a changed lock file': () => put('package-lock.json', '{ }'),
  'an output that is gone': () => rmSync(join(root, 'libs/a/dist/ring.js')),
  'a dist folder that is gone': () => rmSync(join(root, 'libs/a/dist'), { recursive: true }),
  'an output of another size': () => put('libs/a/dist/ring.js', ''),
  'a build by someone else from other sources': () => put('libs/a/dist/.tsbuildinfo', '{"hash":2}'),
})) {
  test(`${what} makes the build out of date`, () => {
    change();
    assert.equal(isBuilt(root), false);
  });
}

test('a source edited while the build ran is built the next time', () => {
  const before = digestSources(root);
  put('libs/a/src/ring.ts', 'export const n = 2;\n');
  recordBuild(root, before);
  assert.equal(isBuilt(root), false);
});

for (const source of ['mesh.ts', 'mesh.mjs'])
  test(`a build that left ${source} without output is never up to date`, () => {
    put(`libs/a/src/${source}`, '');
    recordBuild(root, digestSources(root));
    assert.equal(isBuilt(root), false);
  });

test('outputs of deleted sources are removed and nothing else is', () => {
  for (const name of ['gone.test.js', 'gone.test.js.map', 'gone.test.d.ts']) put(`libs/a/dist/${name}`, '');
  for (const name of ['gone.mjs', 'gone.mjs.map', 'gone.d.mts']) put(`libs/a/dist/${name}`, '');
  for (const path of ['src/plain.mjs', 'dist/plain.mjs', 'dist/plain.d.mts', 'dist/table.json'])
    put(`libs/a/${path}`, '');
  assert.equal(pruneStale(root), 6);
  for (const name of ['ring.js', 'plain.mjs', 'plain.d.mts', '.tsbuildinfo', 'table.json'])
    assert.ok(existsSync(join(root, 'libs/a/dist', name)));
  assert.equal(pruneStale(root), 0);
});

const WANTED = {
  '': { name: 'lockstep' },
  'libs/a': { name: '@lockstep/a' },
  'node_modules/ws': { version: '8.0.0', integrity: 'x' },
  'node_modules/native-linux': { version: '1.0.0', optional: true },
};

test('packages match the lock file when only optional ones are absent', () => {
  assert.equal(
    packagesMatch(WANTED, { 'libs/a': WANTED['libs/a'], 'node_modules/ws': WANTED['node_modules/ws'] }),
    true,
  );
});

test('packages do not match the lock file when one is missing, another version, or not asked for', () => {
  assert.equal(packagesMatch(WANTED, {}), false);
  assert.equal(packagesMatch(WANTED, { 'node_modules/ws': { version: '7.0.0', integrity: 'x' } }), false);
  assert.equal(packagesMatch(WANTED, { ...WANTED, 'node_modules/extra': { version: '1.0.0' } }), false);
});

test('a process that a signal ended has the exit code that a shell would give it', () => {
  assert.equal(exitCodeOf('SIGINT'), 130);
  assert.equal(exitCodeOf('SIGTERM'), 143);
});
