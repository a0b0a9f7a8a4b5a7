/** What becomes of a run, and of what it made, where logs, terminals and readers fail. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  Cli,
  ENDLESS,
  IMPATIENT,
  lockstep,
  pause,
  processOf,
  temporaryFolder,
  tinyRun,
  untilStep,
  type Ended,
} from './harness.js';

const main = (app: string): string => fileURLToPath(import.meta.resolve(`@lockstep/${app}/main`));
const CLI = fileURLToPath(new URL('../../../apps/cli/dist/main.js', import.meta.url));
const STEPS = 10;

/** The status of a process of which nobody reads a word. */
async function unread(script: string, args: readonly string[]): Promise<number | null> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  child.stderr.destroy();
  return statusOf(child);
}

async function statusOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.on('exit', (status) => resolve(status)));
}

/** Resolves when the process is gone: it was no child of this one. */
async function untilGone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await pause(20);
  }
}

const lastLine = ({ stdout }: Ended): string => stdout.trimEnd().split('\n').at(-1) ?? '';

describe('a run whose logs cannot be written, without a folder for temporary files', () => {
  let folder = '';
  let out = '';
  let trained: Ended;
  const cleanups: (() => void)[] = [];

  before(async () => {
    folder = temporaryFolder({ after: (action) => cleanups.push(action) });
    out = join(folder, 'run');
    mkdirSync(join(out, 'logs'), { recursive: true });
    symlinkSync('/dev/full', join(out, 'logs', 'worker-0.log'));
    // LOCKSTEP_PORT is the coordinator's, which has another one by its flag: no worker may take it for its own.
    const busy = createServer().listen(0, '127.0.0.1');
    await once(busy, 'listening');
    const { port } = busy.address() as AddressInfo;
    const env = { TMPDIR: join(folder, 'nowhere'), LOCKSTEP_PORT: String(port) };
    trained = await new Cli(tinyRun(out, 1, STEPS), env).ended;
    busy.close();
  });
  after(() => cleanups.forEach((action) => action()));

  it('is trained all the same, with one warning that has a code', () => {
    assert.equal(trained.status, 0, trained.stdout + trained.stderr);
    assert.equal(trained.stdout.match(/E_LOG_WRITE: \S*worker-0\.log .*ENOSPC/g)?.length, 1, trained.stdout);
    assert.equal(trained.stderr, '');
  });

  it('logs no line a step where nobody asked for it', () => {
    const log = readFileSync(join(out, 'logs', 'coordinator.log'), 'utf8');
    assert.doesNotMatch(log, /note=(committed|reduce-started)/);
    assert.match(log, /info progress step=1 steps=10 /);
  });

  it('is complete, say its directory and status 0, watched or not', async () => {
    for (const flags of [[], ['--watch']]) {
      const { status, stdout, stderr } = await lockstep('status', out, ...flags);
      assert.deepEqual([status, stderr], [0, '']);
      assert.match(stdout, /\ncomplete: all 10 steps are done, checkpoint of step 10\n$/);
    }
    const { stdout } = await lockstep('status', out, '--json');
    const { step, complete } = JSON.parse(stdout) as { step: number; complete: boolean };
    assert.deepEqual([step, complete], [STEPS, true]);
  });

  it('is sampled, and all that only prints ends with its own status, where nobody reads either output', async () => {
    const picture = join(folder, 'x.png');
    assert.equal(await unread(CLI, ['sample', out, '--out', picture, '--grid', '1x1', '--steps', '2']), 0);
    assert.ok(existsSync(picture));
    for (const command of ['digest', 'verify', 'status']) assert.equal(await unread(CLI, [command, out]), 0, command);
    assert.equal(await unread(CLI, ['digest', join(folder, 'nothing')]), 2);
  });

  it('output that a full disk takes nothing of is a failure with a code', async () => {
    const child = spawn('sh', ['-c', `exec "$0" "$@" > /dev/full`, process.execPath, CLI, 'digest', out], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    assert.equal(await statusOf(child), 1);
    assert.match(stderr, /^E_OUTPUT_WRITE: .*ENOSPC.*\n$/);
  });
});

describe('lockstep up', () => {
  it('ends with the sentence of the worker that cannot begin, and starts it no second time', async (test) => {
    const folder = temporaryFolder(test);
    const run = new Cli(tinyRun(join(folder, 'run'), 2, STEPS), { LOCKSTEP_CACHE: join(folder, 'nothing') });
    const ended = await run.ended;
    assert.equal(ended.status, 1);
    assert.match(lastLine(ended), /^E_ENGINE_MISSING: .*install\.mjs/);
    assert.match(ended.stdout, /worker-1 ended with status 1: E_ENGINE_MISSING: /);
    assert.doesNotMatch(ended.stdout, /starting it again/);
  });

  it('that is killed leaves nobody behind; how far the run is, and what to do, its directory tells', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    // The coordinator looks for so long for someone who still has the state.
    const run = new Cli(tinyRun(out, 1, ENDLESS, ...IMPATIENT));
    await untilStep(run, 3);
    run.signal('SIGKILL');
    await Promise.all(['coordinator', 'worker-0'].map((part) => untilGone(processOf(out, part))));
    const { status, stderr } = await lockstep('status', out, '--watch');
    assert.equal(status, 1);
    assert.match(stderr, /^E_STATUS_UNREACHABLE: the run is at step \d+ of 1000000000, .*lockstep up --resume\n$/);
  });

  it('that meets a defect of its own stops all others in order, and says so in one line', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    // Node takes double quotes in NODE_OPTIONS as its own.
    const defect = "process.on('SIGPWR',()=>{throw(new(Error)('of-this-test'))})";
    const run = new Cli(tinyRun(out, 1, ENDLESS), { NODE_OPTIONS: `--import data:text/javascript,${defect}` });
    await untilStep(run, 3);
    run.signal('SIGPWR');
    const ended = await run.ended;
    assert.equal(ended.status, 1);
    assert.match(lastLine(ended), /^E_INTERNAL: .*of-this-test.*up\.log.*--resume/);
    assert.doesNotMatch(ended.stdout + ended.stderr, /\n\s+at /);
    assert.match(ended.stdout, /checkpoint of step \d+ published/);
    assert.match(readFileSync(join(out, 'logs', 'up.log'), 'utf8'), /of-this-test\n\s+at /);
  });

  it('trains where nobody reads what it says', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    assert.equal(await unread(CLI, tinyRun(out, 1, 2)), 0);
    assert.equal((await lockstep('status', out)).status, 0);
  });
});

describe('a coordinator and a worker that were started alone', () => {
  it('go on when the reader of their output has gone', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const size = ['--preset', 'tiny', '--steps', '3', '--global-batch', '4', '--microbatch-size', '2', '--port', '0'];
    const coordinator = spawn(process.execPath, [main('coordinator'), ...size, '--out', out, '--log-level', 'debug'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    test.after(() => coordinator.kill('SIGKILL'));
    const ended = statusOf(coordinator);
    let printed = '';
    const port = await new Promise<string>((resolve) =>
      coordinator.stdout.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
        const found = /listening on [\d.]+:(\d+)/.exec(printed)?.[1];
        if (found !== undefined) resolve(found);
      }),
    );
    coordinator.stdout.destroy();
    coordinator.stderr.destroy();
    assert.equal(await unread(main('worker'), ['--coordinator', `ws://127.0.0.1:${port}`]), 0);
    assert.equal(await ended, 0);
    assert.equal((await lockstep('status', out)).status, 0);
  });
});
