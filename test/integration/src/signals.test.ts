import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  Cli,
  ENDLESS,
  lockstep,
  pause,
  processOf,
  temporaryFolder,
  tinyRun,
  untilStep,
  untilTogether,
} from './harness.js';
import { Undisturbed, entryOf } from './undisturbed.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const PTY = fileURLToPath(new URL('../src/pty.fixture.py', import.meta.url));
const POLL_MS = 20;
/** A condition that has not come by then never does, on the slowest machine too. Milliseconds. */
const HANG_MS = 30 * 60_000;
/** No checkpoint but those that signals cause; with QUIET every commit is in the log. */
const NO_CHECKPOINTS = ['--checkpoint-every', String(ENDLESS)];
const QUIET = [...NO_CHECKPOINTS, '--log-level', 'debug'];

async function until(what: string, condition: () => boolean): Promise<void> {
  const begun = performance.now();
  while (!condition()) {
    assert.ok(performance.now() - begun < HANG_MS, `${what}: not in ${HANG_MS} ms`);
    await pause(POLL_MS);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A process and all that descend from it, newest last. */
function treeOf(pid: number): number[] {
  const listed = spawnSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).stdout;
  const parents = [...listed.matchAll(/(\d+) +(\d+)/g)].map(
    ([, child, parent]) => [Number(child), Number(parent)] as const,
  );
  const below = (of: number): number[] =>
    parents.flatMap(([child, parent]) => (parent === of ? [child, ...below(child)] : []));
  return [pid, ...below(pid)];
}

const logOf = (out: string, part: string): string => {
  const path = join(out, 'logs', `${part}.log`);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};
const committedIn = (out: string): number => [...logOf(out, 'coordinator').matchAll(/note=committed/g)].length;
const checkpointsOf = (out: string): number[] =>
  readdirSync(join(out, 'checkpoints')).map((name) => Number(name.replace('step-', '')));

/** Everything that was committed is in the newest checkpoint, by what is said and by what is there. */
function assertNothingLost(said: string, out: string, why: string): void {
  const step = Number(new RegExp(`${why}; the checkpoint of step (\\d+) holds all that was committed`).exec(said)?.[1]);
  assert.ok(step > 0, said);
  assert.equal(Math.max(...checkpointsOf(out)), step);
}

/** A command beside the test, which does not outlive it. */
function started(test: TestContext, command: readonly [string, ...string[]], cwd = root): ChildProcess {
  const [program, ...args] = command;
  const child = spawn(program, args, { cwd, stdio: ['pipe', 'pipe', 'inherit'] });
  test.after(() => child.kill('SIGKILL'));
  return child;
}

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.on('close', (status) => resolve(status)));

function printing(child: ChildProcess): () => string {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return () => text;
}

describe('a signal', () => {
  it('that warns or that a closed terminal sends lets a run go on, one to every process at once loses no step', async (test) => {
    const folder = temporaryFolder(test);
    const out = join(folder, 'run');
    const args = tinyRun(out, 2, ENDLESS, ...NO_CHECKPOINTS);
    const run = new Cli([...args, '--warning-signal', 'checkpoint']);
    await untilTogether(run, 2, 2);
    run.signal('SIGHUP');
    await run.printed(/SIGHUP: the terminal is gone; the training goes on/);
    run.signal('SIGUSR2');
    const warned = Number((await run.printed(/checkpoint of step (\d+) published/))[1]);
    await untilStep(run, warned + 1);
    // As systemd and Slurm do it: helpers are among them.
    const everybody = treeOf(run.pid);
    for (const part of ['coordinator', 'worker-0', 'worker-1']) assert.ok(everybody.includes(processOf(out, part)));
    for (const pid of everybody) process.kill(pid, 'SIGTERM');
    const stopped = await run.ended;
    assert.equal(stopped.status, 143, stopped.stdout);
    assertNothingLost(stopped.stdout, out, 'stopped: SIGTERM');
    await until('the end of its processes', () => !everybody.some(isAlive));
    assert.doesNotMatch(logOf(out, 'coordinator'), /note=worker-lost/);

    const resumed = new Cli([...args, '--resume']);
    await untilStep(resumed, Math.max(...checkpointsOf(out)) + 1);
    resumed.signal('SIGUSR1');
    const again = await resumed.ended;
    assert.equal(again.status, 138, again.stdout);
    assertNothingLost(again.stdout, out, 'stopped: SIGUSR1');

    const last = await entryOf(out);
    assert.ok(last !== undefined);
    assert.equal(await new Undisturbed(join(folder, 'alone')).digestAfter(last.step), last.digest);
  });

  it('SIGKILL of `up` leaves nobody behind, and a checkpoint of the last step', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const run = new Cli(tinyRun(out, 2, ENDLESS, ...QUIET));
    await untilStep(run, 2);
    const parts = ['coordinator', 'worker-0', 'worker-1'].map((part) => processOf(out, part));
    run.signal('SIGKILL');
    await run.ended;
    await until('the end of its processes', () => !parts.some(isAlive));
    assert.ok(checkpointsOf(out).some((step) => step >= 2));
    assert.match(await lockstep('verify', out).then(({ stdout }) => stdout), /verified/i);
  });

  it('to npx alone stops what it started', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const npx = started(test, ['npx', 'lockstep', ...tinyRun(out, 1, ENDLESS, ...QUIET)]);
    printing(npx);
    await until('two steps', () => committedIn(out) >= 2);
    const parts = ['coordinator', 'worker-0'].map((part) => processOf(out, part));
    npx.kill('SIGTERM');
    await until('the end of its processes', () => !parts.some(isAlive));
    assertNothingLost(logOf(out, 'coordinator'), out, 'the npm or npx that started it is gone');
  });
});

describe('on a terminal', { skip: spawnSync('python3', ['--version']).status !== 0 && 'no python3' }, () => {
  it('Ctrl-C, which npx hands on once more, stops a run with a checkpoint and names SIGINT', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const npx = ['npx', 'lockstep', ...tinyRun(out, 1, ENDLESS, ...QUIET)];
    const terminal = started(test, ['python3', PTY, ...npx]);
    const text = printing(terminal);
    await until('two steps', () => committedIn(out) >= 2);
    terminal.stdin?.write('ctrl-c\n');
    assert.equal(await ended(terminal), 130);
    assertNothingLost(text(), out, 'stopped: SIGINT');
  });

  it('its end stops a run with a checkpoint', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const bin = join('node_modules', '.bin', 'lockstep');
    const run = tinyRun(out, 1, ENDLESS, ...QUIET);
    const terminal = started(test, ['python3', PTY, bin, ...run]);
    printing(terminal);
    await until('two steps', () => committedIn(out) >= 2);
    terminal.stdin?.write('close\n');
    assert.equal(await ended(terminal), 129);
    assertNothingLost(logOf(out, 'coordinator'), out, 'SIGHUP');
    // Shells have that for who died by it, and an end of Node's own would have been an abort.
  });
});

describe('a worker without a parent', () => {
  it('that gets SIGTERM hands its state over, alone and when the coordinator gets it too', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const [, ...flags] = tinyRun(out, 1, ENDLESS, ...QUIET);
    const main = (app: string): string => join(root, 'apps', app, 'dist', 'main.js');
    const of = (pattern: RegExp): string[] => flags.filter((_, at) => !pattern.test(flags[at - (at % 2)] ?? ''));
    const coordinator = started(test, [process.execPath, main('coordinator'), ...of(/^--workers$/)]);
    const text = printing(coordinator);
    await until('the port', () => /listening on/.test(text()));
    const port = /listening on [\d.]+:(\d+)/.exec(text())?.[1] ?? '';
    const work = (): ChildProcess => {
      const worker = started(test, [process.execPath, main('worker'), '--coordinator', `ws://127.0.0.1:${port}`]);
      printing(worker);
      return worker;
    };
    const committed = (): number => [...text().matchAll(/note=committed/g)].length;

    const first = work();
    await until('two steps', () => committed() >= 2);
    first.kill('SIGTERM');
    assert.equal(await ended(first), 0);
    // What the coordinator printed may come a little later than the worker's end.
    await until('a checkpoint of the last step', () => Math.max(...checkpointsOf(out)) === committed());

    const second = work();
    const before = committed();
    await until('another step', () => committed() > before);
    assert.doesNotMatch(text(), /rolled-back/);
    for (const child of [second, coordinator]) child.kill('SIGTERM');
    assert.deepEqual(await Promise.all([ended(second), ended(coordinator)]), [0, 0]);
    assertNothingLost(text(), out, 'SIGTERM');
  });
});
