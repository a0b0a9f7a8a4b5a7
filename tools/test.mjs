/**
 * `npm test`: sets up, then lint, format, every project's tests and the deployment files. All of them run, so that one
 * failure does not hide the next; the exit code is 1 if any failed.
 */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NX, NX_ENV, ROOT, setupOrExit } from './setup.mjs';

const bin = (/** @type {string} */ name) => join(ROOT, 'node_modules', '.bin', name);
const nxOutput = '--outputStyle=static';

/** @typedef {{ name: string, command: string, args: string[] }} Check */

/**
 * With an empty cache, as in CI, one eslint over everything takes half the time of one a project, which each load the
 * rules and the type checker; with a warm cache nx lints only what changed.
 * @returns {Check[]}
 */
function lintChecks() {
  if (process.env.CI) return [{ name: 'lint', command: bin('eslint'), args: ['.'] }];
  return [
    { name: 'lint', command: NX, args: ['run-many', '-t', 'lint', nxOutput] },
    {
      name: 'lint of scripts',
      command: bin('eslint'),
      args: ['--no-error-on-unmatched-pattern', 'tools', 'examples', '*.js'],
    },
  ];
}

/** Plain JavaScript outside the workspaces. */
const SCRIPT_FOLDERS = ['tools', join('apps', 'cli', 'bin')];

/** Named one by one: Node 20's test runner knows no patterns, and later ones take no folders. */
function testsOfScripts() {
  return SCRIPT_FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { encoding: 'utf8', recursive: true })
      .filter((name) => name.endsWith('.test.mjs'))
      .sort()
      .map((name) => join(folder, name)),
  );
}

/** @typedef {Partial<Record<string, number>>} Totals by kind: tests, pass, fail ... */

/** What is checked, in this order. Tests of two projects run at once: many of them wait, and none judges by speed. */
const CHECKS = [
  ...lintChecks(),
  { name: 'format', command: bin('prettier'), args: ['--check', '.'] },
  { name: 'tests', command: NX, args: ['run-many', '-t', 'test', '--parallel=2', nxOutput] },
  // What is compiled is checked with it; this has no output of its own.
  { name: 'types of scripts', command: bin('tsc'), args: ['-b', 'tools', 'examples'] },
  {
    name: 'tests of scripts',
    command: process.execPath,
    args: ['--test', '--test-reporter=spec', ...testsOfScripts()],
  },
  { name: 'deploy', command: process.execPath, args: ['tools/check-deploy.mjs'] },
];

const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');
/** A line of node:test's summary, as its spec reporter ends with: "ℹ pass 12". */
const SUMMARY = /^ℹ (tests|pass|fail|cancelled|skipped|todo) (\d+)$/;

/**
 * Runs one check with its output passed through, and adds up the node:test summaries in it.
 * @param {Check} check
 * @param {Totals} totals
 * @returns {Promise<number>} its exit code
 */
function run({ command, args }, totals) {
  return new Promise((resolve, reject) => {
    const color = process.stdout.isTTY ? { FORCE_COLOR: '1' } : {};
    const child = spawn(command, args, {
      cwd: ROOT,
      env: { ...process.env, ...NX_ENV, ...color },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      process.stdout.write(chunk);
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const [, kind, count] = SUMMARY.exec(line.replace(ANSI, '').trim()) ?? [];
        if (kind !== undefined) totals[kind] = (totals[kind] ?? 0) + Number(count);
      }
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

await setupOrExit();
/** @type {Totals} */
const totals = {};
const results = [];
for (const check of CHECKS) {
  console.log(`\n== ${check.name}`);
  const started = performance.now();
  const code = await run(check, totals);
  results.push({ name: check.name, ok: code === 0, seconds: (performance.now() - started) / 1000 });
}

console.log('\n== summary');
for (const { name, ok, seconds } of results)
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`);
const failed = (totals.fail ?? 0) + (totals.cancelled ?? 0);
console.log(`${totals.pass ?? 0} passed, ${failed} failed${totals.skipped ? `, ${totals.skipped} skipped` : ''}`);
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;
