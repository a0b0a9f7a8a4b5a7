/**
 * What a package imports of others in this workspace is in its package.json, and in the references of the tsconfig that compiles the
 * file: else a fresh clone, where nothing is built yet, cannot build it, though a clone that was built before can.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fieldsOf } from '../apps/cli/bin/foreign.mjs';

const ROOT = join(import.meta.dirname, '..');

/** Folders of packages, from the root. */
const PACKAGES = ['libs', 'apps', 'test'].flatMap((room) =>
  readdirSync(join(ROOT, room))
    .map((name) => join(room, name))
    .filter((folder) => existsSync(join(ROOT, folder, 'package.json'))),
);

/** @param {string} path from the root */
const json = (path) => fieldsOf(JSON.parse(readFileSync(join(ROOT, path), 'utf8')));

/** Folder of a package by its name. */
const FOLDERS = new Map(PACKAGES.map((folder) => [String(json(join(folder, 'package.json'))['name']), folder]));

/**
 * Paths from the root of what a tsconfig references.
 *
 * @param {string} path
 * @returns {Set<string>}
 */
function referencesOf(path) {
  const { references } = json(path);
  const list = Array.isArray(references) ? references : [];
  return new Set(list.map((one) => relative(ROOT, join(ROOT, dirname(path), String(fieldsOf(one)['path'])))));
}

/** @param {string} folder */
function sourcesOf(folder) {
  return readdirSync(join(ROOT, folder, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs)$/.test(name))
    .map((name) => join(folder, 'src', name));
}

/**
 * The tsconfig that compiles a file, of those that its package has.
 *
 * @param {string} folder
 * @param {string} file
 */
function configOf(folder, file) {
  const isTest = /\.(test|fixture)\.ts$/.test(file);
  const own = join(folder, isTest ? 'tsconfig.test.json' : 'tsconfig.lib.json');
  return existsSync(join(ROOT, own)) ? own : join(folder, 'tsconfig.json');
}

const IMPORT = /(?:from|import)\s*\(?\s*'(@lockstep\/[\w-]+)(\/[\w.-]+)?'/g;

for (const folder of PACKAGES)
  test(`${folder} says all that it imports of this workspace`, () => {
    const described = json(join(folder, 'package.json'));
    const known = new Set(
      ['dependencies', 'devDependencies'].flatMap((kind) => Object.keys(fieldsOf(described[kind] ?? {}))),
    );
    const missing = new Set();
    for (const file of sourcesOf(folder)) {
      const config = configOf(folder, file);
      const references = referencesOf(config);
      for (const [, name = '', entry = ''] of readFileSync(join(ROOT, file), 'utf8').matchAll(IMPORT)) {
        const other = FOLDERS.get(name);
        if (other === folder) continue;
        assert.ok(other !== undefined, `${file} imports ${name}, which is no package here`);
        if (!known.has(name)) missing.add(`${name} in ${folder}/package.json (${file})`);
        const wanted = entry.endsWith('.fixture') ? 'tsconfig.test.json' : 'tsconfig.lib.json';
        const places = [join(other, wanted), join(other, 'tsconfig.json'), other];
        if (!places.some((place) => references.has(place)))
          missing.add(`${join(other, wanted)} in ${config} (${file})`);
      }
    }
    assert.deepEqual([...missing], []);
  });
