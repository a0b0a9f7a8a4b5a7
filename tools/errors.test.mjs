/** The registry of errors (libs/base/src/errors) against all that is written in the sources. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ERROR_ROOMS, ERRORS, EXIT, exitStatusOf } from '@lockstep/base';
import { LAUNCH_ERRORS } from '../apps/cli/bin/failure.mjs';
import { ENGINE_INSTALL_ERRORS } from './engine/errors.mjs';
import { SETUP_ERRORS } from './setup.mjs';

const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['libs', 'apps', 'tools', 'test', 'examples'];
const SKIPPED = new Set(['node_modules', 'dist', 'dist-test']);

/**
 * Every source file but the rooms themselves.
 * @param {string} folder
 * @returns {Generator<string, void>}
 */
function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!SKIPPED.has(entry.name)) yield* sources(path);
    } else if (/\.(ts|mts|mjs)$/.test(entry.name) && !/libs\/base\/src\/errors\/[a-z-]+-errors\.ts$/.test(path))
      yield path;
  }
}

/** Code -> files that name it. A family, as E_RUN_*, is none. */
/** @type {Map<string, string[]>} */
const named = new Map();
for (const folder of FOLDERS)
  for (const path of sources(join(ROOT, folder)))
    for (const [code] of readFileSync(path, 'utf8').matchAll(/\bE_[A-Z_]*[A-Z]\b/g))
      named.set(code, [...(named.get(code) ?? []), relative(ROOT, path)]);

test('every code that a source names stands in the registry', () => {
  const unknown = [...named].filter(([code]) => !(code in ERRORS));
  assert.deepEqual(unknown, []);
});

/** @param {string} file */
const isCode = (file) => !/\.test\.|\.fixture\./.test(file);

test('every code of the registry is named by a source', () => {
  const unused = Object.keys(ERRORS).filter((code) => !(named.get(code) ?? []).some(isCode));
  assert.deepEqual(unused, []);
});

test('a warning begins with its code, and so does what a log calls an error', () => {
  /** @type {string[]} */
  const codeless = [];
  for (const folder of ['libs', 'apps'])
    for (const path of sources(join(ROOT, folder))) {
      if (!isCode(path)) continue;
      const said = readFileSync(path, 'utf8').matchAll(/(?:\bwarn\(|\('(?:warn|error)',)\s*[`'"]([^\n]*)/g);
      for (const [, text = ''] of said)
        if (!/^(?:E_[A-Z_]+(?:: |',)|\$\{[\w.]*code\}: )/.test(text)) codeless.push(`${relative(ROOT, path)}: ${text}`);
    }
  assert.deepEqual(codeless, []);
});

test('no code stands in two rooms, and every row says what happened and what to do', () => {
  const codes = Object.values(ERROR_ROOMS).flatMap((room) => Object.keys(room));
  assert.deepEqual([...codes].sort(), Object.keys(ERRORS).sort());
  for (const [code, { happened, action }] of Object.entries(ERRORS))
    for (const text of [happened, action]) assert.ok(/^\S[^\n|]*[^\s.]$/.test(text), `${code}: ${text}`);
});

test('what runs before the build has the codes that its rooms have', () => {
  const room = (/** @type {keyof typeof ERROR_ROOMS} */ title) => Object.keys(ERROR_ROOMS[title]).sort();
  assert.deepEqual([...LAUNCH_ERRORS].sort(), room('Starting (`apps/cli/bin`)'));
  assert.deepEqual([...ENGINE_INSTALL_ERRORS].sort(), room('Set-up of the engine (`tools/engine`)'));
  assert.deepEqual([...SETUP_ERRORS].sort(), room('Set-up (`tools/setup.mjs`)'));
});

test('an exit status is 1 where the table has no other for that program', () => {
  assert.equal(exitStatusOf('E_CONFIG_FILE', 'worker'), EXIT.usage);
  assert.deepEqual([exitStatusOf('E_RUN_MISSING', 'lockstep'), exitStatusOf('E_RUN_MISSING', 'coordinator')], [2, 1]);
  assert.deepEqual([exitStatusOf('E_DIVERGED', 'worker'), exitStatusOf('E_DIVERGED', 'coordinator')], [3, 1]);
  assert.equal(exitStatusOf('E_COORDINATOR_UNREACHABLE', 'worker'), EXIT.unreachable);
  assert.equal(exitStatusOf('E_STATE_TABLE', 'lockstep'), 1);
});
