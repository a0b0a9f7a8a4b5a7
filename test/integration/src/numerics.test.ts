import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ENDLESS, PATIENT_MS, lockstep, pause, temporaryFolder, tinyRun } from './harness.js';

const main = (app: string): string => fileURLToPath(import.meta.resolve(`@lockstep/${app}/main`));

const started: ChildProcess[] = [];

/** One process of a run, with what it printed. */
class Part {
  output = '';
  readonly exit: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor(app: string, args: readonly string[]) {
    this.child = spawn(process.execPath, [main(app), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    this.exit = new Promise((resolve) => this.child.on('close', resolve));
    started.push(this.child);
  }

  stop(): void {
    this.child.kill('SIGTERM');
  }

  async printed(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match[1] ?? match[0];
      await pause(20);
    }
  }
}

/** A run of TensorFlow's whose second worker computes with two threads, which gives other bits. */
async function twoClasses(out: string, mode: 'strict' | 'relaxed'): Promise<{ status: number | null; log: string }> {
  const size = ['--global-batch', '12', '--microbatch-size', '2', '--steps', String(ENDLESS), '--seed', '7'];
  const patience = ['--heartbeat-timeout-ms', String(PATIENT_MS), '--preset', 'tiny', '--log-level', 'debug'];
  const coordinator = new Part('coordinator', [
    ...size,
    ...patience,
    '--port',
    '0',
    '--out',
    out,
    '--numerics',
    mode,
    '--engine',
    'tensorflow',
  ]);
  const address = `ws://127.0.0.1:${await coordinator.printed(/listening on [\d.]+:(\d+)/)}`;
  const first = new Part('worker', ['--name', 'one', '--coordinator', address]);
  await coordinator.printed(/note=worker-ready worker=one/);
  const second = new Part('worker', ['--name', 'two', '--coordinator', address, '--threads', '2']);
  await coordinator.printed(
    mode === 'strict' ? /note=worker-refused/ : /note=generation-opened .*"two".*[^]*note=committed[^]*note=committed/,
  );
  coordinator.stop();
  const status = await second.exit;
  assert.equal(await first.exit, 0);
  assert.equal(await coordinator.exit, 0);
  return { status, log: coordinator.output };
}

describe('a worker of another numerics class', () => {
  it('is refused with what differs, and the run goes on without it', async (context) => {
    const out = temporaryFolder(context);
    context.after(() => started.forEach((child) => child.kill('SIGKILL')));
    const { status, log } = await twoClasses(out, 'strict');
    assert.equal(status, 3);
    assert.match(log, /note=worker-refused worker=two code=E_NUMERICS_CLASS .*threads is 2, not 1/);
    assert.match((await lockstep('verify', out)).stdout, /reproducible: yes/);
  });

  it('takes part when numerics are relaxed, and the ledger says so', async (context) => {
    const out = temporaryFolder(context);
    context.after(() => started.forEach((child) => child.kill('SIGKILL')));
    const { status, log } = await twoClasses(out, 'relaxed');
    assert.equal(status, 0);
    assert.match(log, /note=worker-admitted worker=two differs="threads is 2, not 1"/);
    const verified = await lockstep('verify', out);
    assert.equal(verified.status, 0, verified.stdout);
    assert.match(verified.stdout, /reproducible: no, from step \d+ on; .*two from step/);
  });
});

describe('workers of a program', () => {
  it('are of one class, whatever kernels and threads they have, and train what one worker trains', async (context) => {
    const folder = temporaryFolder(context);
    context.after(() => started.forEach((child) => child.kill('SIGKILL')));
    const [mixed, alone] = [`${folder}/mixed`, `${folder}/alone`];
    const run = ['--preset', 'tiny', '--global-batch', '12', '--microbatch-size', '2', '--steps', '12', '--seed', '7'];
    const patience = ['--heartbeat-timeout-ms', String(PATIENT_MS), '--log-level', 'debug'];
    // None may do all of it before the others are there.
    const waits = ['--numerics', 'strict', '--min-workers', '3'];
    const coordinator = new Part('coordinator', [...run, ...patience, ...waits, '--port', '0', '--out', mixed]);
    const address = `ws://127.0.0.1:${await coordinator.printed(/listening on [\d.]+:(\d+)/)}`;
    const kinds = [
      ['--kernels', 'plain', '--threads', '2'],
      ['--kernels', 'fastest', '--threads', '3'],
      ['--kernels', 'fastest'],
    ];
    const workers = kinds.map(
      (kind, index) => new Part('worker', ['--name', `w${index}`, '--coordinator', address, ...kind]),
    );
    assert.deepEqual(await Promise.all(workers.map(({ exit }) => exit)), [0, 0, 0]);
    assert.equal(await coordinator.exit, 0);
    for (const index of kinds.keys())
      assert.match(coordinator.output, new RegExp(`note=worker-ready worker=w${index}`));
    assert.doesNotMatch(coordinator.output, /worker-refused/);
    assert.match((await lockstep('verify', mixed)).stdout, /reproducible: yes/);

    const one = await lockstep('up', ...run, '--workers', '1', '--threads', '1', '--port', '0', '--out', alone);
    assert.equal(one.status, 0, one.stdout);
    const digests = [await lockstep('digest', mixed), await lockstep('digest', alone)].map(({ stdout }) => stdout);
    assert.equal(digests[0], digests[1]);
  });
});

describe('a gradient that is not finite', () => {
  const diverging = ['--learning-rate', '1e20'];

  it('stops the run, and its microbatch can be computed again', async (context) => {
    const out = temporaryFolder(context);
    const run = await lockstep(...tinyRun(out, 2, 20, ...diverging));
    assert.equal(run.status, 1, run.stdout);
    const [, step = '', microbatch = ''] =
      /E_NON_FINITE_GRADIENT.*lockstep replay DIR --step (\d+) --microbatch (\d+)/.exec(run.stdout) ?? [];
    const replayed = await lockstep('replay', out, '--step', step, '--microbatch', microbatch);
    assert.equal(replayed.status, 0, replayed.stderr);
    assert.match(replayed.stdout, /not finite|non-finite/);
  });

  it('is skipped when that is asked for, with the same weights on one worker and on two', async (context) => {
    const digests = [];
    for (const workers of [1, 2]) {
      const out = temporaryFolder(context);
      const run = await lockstep(...tinyRun(out, workers, 12, ...diverging, '--non-finite', 'skip'));
      assert.equal(run.status, 0, run.stdout);
      const verified = await lockstep('verify', out);
      assert.equal(verified.status, 0, verified.stdout);
      assert.match(verified.stdout, /skipped: ok, [1-9]\d* steps? skipped/);
      digests.push((await lockstep('digest', out)).stdout);
    }
    assert.equal(digests[0], digests[1]);
  });
});
