/** Every link in the pages leads to a file that is there, and to a heading that it has. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { APPS, LIBS } from '../eslint.config.js';

const ROOT = join(import.meta.dirname, '..');
const FOLDERS = ['docs', 'deploy', 'examples', 'test/bench'];

/**
 * @param {string} folder
 * @returns {Generator<string>}
 */
function* pagesIn(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') yield* pagesIn(path);
    else if (entry.name.endsWith('.md')) yield path;
  }
}

const pages = [
  ...readdirSync(ROOT)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(ROOT, name)),
  ...FOLDERS.flatMap((folder) => [...pagesIn(join(ROOT, folder))]),
];

/**
 * A heading as GitHub's anchor of it.
 * @param {string} heading
 */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

/** @param {string} text */
const anchorsOf = (text) => new Set([...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading ?? '')));

/**
 * Links of a page that lead nowhere, each with the page's name.
 * @param {string} page
 */
function brokenIn(page) {
  const broken = [];
  for (const [, link = ''] of readFileSync(page, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(link)) continue;
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? page : join(dirname(page), path);
    const found = existsSync(target) && (anchor === undefined || anchorsOf(readFileSync(target, 'utf8')).has(anchor));
    if (!found) broken.push(`${relative(ROOT, page)}: ${link}`);
  }
  return broken;
}

test('links of the pages lead to files and headings that are there', () => {
  assert.deepEqual(pages.flatMap(brokenIn), []);
});

/**
 * What a page names as a file or folder of the repository.
 * @param {string} text
 */
const pathsIn = (text) =>
  [...text.matchAll(/`((?:apps|libs|test|tools|deploy|examples)\/[\w./-]+)`/g)].map(([, path = '']) => path);

test('files that the pages name are there', () => {
  const missing = pages.flatMap((page) =>
    pathsIn(readFileSync(page, 'utf8'))
      // What is built comes and goes.
      .filter((path) => !path.includes('/dist') && !existsSync(join(ROOT, path)))
      .map((path) => `${relative(ROOT, page)}: ${path}`),
  );
  assert.deepEqual(missing, []);
});

test('what the page "to change X, go to Y" says of a file is in it', () => {
  const text = readFileSync(join(ROOT, 'docs', 'internals', 'where.md'), 'utf8');
  const named = [...text.matchAll(/`(\w+)`\s+(?:in|of)\s+`((?:apps|libs|test)\/[^`]+)`/g)];
  assert.ok(named.length > 10);
  assert.deepEqual(
    named.flatMap(([, name = '', path = '']) =>
      new RegExp(`\\b${name}\\b`).test(readFileSync(join(ROOT, path), 'utf8')) ? [] : [`${name} in ${path}`],
    ),
    [],
  );
});

test('the table of parts is what lint enforces', () => {
  const text = readFileSync(join(ROOT, 'docs', 'internals', 'architecture.md'), 'utf8');
  const libs = [...text.matchAll(/^\| `libs\/(\w+)` .*\| ([^|]+) \|$/gm)].map(([, name = '', allowed = '']) => [
    name,
    [...allowed.matchAll(/`(\w+)`/g)].map(([, other]) => other).sort(),
  ]);
  assert.deepEqual(
    Object.fromEntries(libs),
    Object.fromEntries(Object.entries(LIBS).map(([name, allowed]) => [name, [...allowed].sort()])),
  );
  for (const app of Object.keys(APPS)) assert.ok(text.includes(`\`apps/${app}\``), app);
});

test('the README is for a newcomer: at most 200 lines and 16 kB', () => {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  assert.ok(text.trimEnd().split('\n').length <= 200);
  assert.ok(Buffer.byteLength(text) <= 16_000);
});
