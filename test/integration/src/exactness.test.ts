/** The promise: the weights do not depend on who did the work. Real processes, real sockets, the small network. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, it, after } from 'node:test';
import { Ledger, runPaths } from '@lockstep/run';
import {
  Cli,
  ENDLESS,
  addressOf,
  digestOf,
  lockstep,
  pause,
  processOf,
  temporaryFolder,
  tinyRun,
  untilStatus,
  untilStep,
  untilTogether,
} from './harness.js';
import { Undisturbed, stopped } from './undisturbed.js';

const STEPS = 16;
const POLL_MS = 20;

describe('the weights do not depend on who did the work', () => {
  let folder = '';
  /** After STEPS of STEPS. */
  let undisturbed = '';
  /** After any number of steps of a run that is endless. */
  let endless: Undisturbed;
  const cleanups: (() => void)[] = [];

  before(async () => {
    folder = temporaryFolder({ after: (action) => cleanups.push(action) });
    const out = join(folder, 'one');
    const { status, stdout, stderr } = await lockstep(...tinyRun(out, 1, STEPS));
    assert.equal(status, 0, stdout + stderr);
    undisturbed = await digestOf(out);
    endless = new Undisturbed(join(folder, 'endless'));
  });

  after(() => cleanups.forEach((action) => action()));

  it('two workers do a run to its end and reach the digest of one', async () => {
    const out = join(folder, 'two');
    const { status, stdout, stderr } = await lockstep(...tinyRun(out, 2, STEPS));
    assert.equal(status, 0, stdout + stderr);
    assert.equal(await digestOf(out), undisturbed);
  });

  it('three workers reach the digest of one, and each of them computed gradients', async () => {
    const out = join(folder, 'three');
    const run = new Cli(tinyRun(out, 3, ENDLESS));
    await untilTogether(run, 3, 3);
    // Who gets little of a busy machine may have nothing to give for many steps.
    const ledger = await Ledger.openReader(runPaths(out).ledger);
    const workers = new Set<string | null>();
    for (let step = 0; workers.size < 3; step++) {
      let entry = ledger.get(step);
      for (; entry === undefined; entry = ledger.get(step)) await pause(POLL_MS);
      for (const worker of entry.plan) workers.add(worker);
    }
    const last = await stopped(run, out);
    assert.deepEqual(ledger.verifyChain(), { ok: true, entries: last.step + 1 });
    await ledger.close();
    assert.equal(await digestOf(out), last.digest);
    assert.equal(await endless.digestAfter(last.step), last.digest);
  });

  it('another seed reaches another digest', async () => {
    const out = join(folder, 'seed');
    const { status } = await lockstep(...tinyRun(out, 2, STEPS, '--seed', '8'));
    assert.equal(status, 0);
    assert.notEqual(await digestOf(out), undisturbed);
  });

  it('kill -9 of one of two workers: the other goes on, and the digest is the same', async () => {
    const out = join(folder, 'killed');
    const run = new Cli(tinyRun(out, 2, ENDLESS, '--max-restarts', '0'));
    await untilTogether(run, 2, 3);
    process.kill(processOf(out, 'worker-1'), 'SIGKILL');
    const [, step] = await run.printed(/generation \d+ at step (\d+) with worker-0 \(lost worker-1/);
    await untilStep(run, Number(step) + 3);
    const last = await stopped(run, out);
    assert.match((await run.ended).stdout, /worker-1 is lost/);
    assert.equal(await endless.digestAfter(last.step), last.digest);
  });

  it('a killed worker that comes back joins the running ring, and a killed coordinator is started again: the digest is the same', async () => {
    const out = join(folder, 'rejoined');
    const run = new Cli(tinyRun(out, 2, ENDLESS, '--max-restarts', '1'));
    await untilStep(run, 2);
    process.kill(processOf(out, 'worker-0'), 'SIGKILL');
    const [, joined] = await run.printed(/generation \d+ at step ([1-9]\d*) with worker-1, worker-0/);
    const { generation, step } = await untilStep(run, Number(joined) + 3);
    process.kill(processOf(out, 'coordinator'), 'SIGKILL');
    await run.printed(/the coordinator was killed by SIGKILL; starting it again/);
    const again = await untilStatus(run, (status) => status.generation > generation && status.step > step);
    await untilStep(run, again.step + 3);
    const last = await stopped(run, out);
    assert.equal(await endless.digestAfter(last.step), last.digest);
  });

  it('SIGINT leaves a checkpoint of the last committed step, and --resume goes on from it to the same digest', async () => {
    const out = join(folder, 'stopped');
    const run = new Cli(tinyRun(out, 2, ENDLESS));
    await untilStep(run, 3);
    const before = await stopped(run, out);
    assert.match((await run.ended).stdout, /stopped: SIGINT; the checkpoint of step \d+ holds all that was committed/);
    assert.equal(await digestOf(out), before.digest);
    const refused = await lockstep(...tinyRun(out, 2, ENDLESS));
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /E_RUN_EXISTS/);
    const resumed = new Cli(tinyRun(out, 3, ENDLESS, '--resume'));
    await untilStep(resumed, before.step + 4);
    const last = await stopped(resumed, out);
    assert.equal(await endless.digestAfter(last.step), last.digest);
    assert.equal(await endless.digestAfter(before.step), before.digest);
  });

  it('a run that is complete is resumed to no more than its end', async () => {
    const out = join(folder, 'one');
    const again = await lockstep(...tinyRun(out, 1, STEPS), '--resume');
    assert.equal(again.status, 0, again.stdout);
    assert.equal(await digestOf(out), undisturbed);
  });

  it('resuming with another seed is refused, naming the key', async () => {
    const out = join(folder, 'one');
    const { status, stderr } = await lockstep(...tinyRun(out, 1, STEPS, '--seed', '9'), '--resume');
    assert.equal(status, 1);
    assert.match(stderr, /E_RUN_CONFLICT.*seed is 7 there, 9 was asked for \(flag --seed\)/s);
  });

  it('serves health, metrics and status on the port of the WebSocket while it trains', async () => {
    const out = join(folder, 'watched');
    const run = new Cli(tinyRun(out, 2, ENDLESS));
    await untilTogether(run, 2, 2);
    const address = await addressOf(run);
    const health = await fetch(`${address}/healthz`);
    const metrics = await (await fetch(`${address}/metrics`)).text();
    assert.equal(health.status, 200);
    assert.match(metrics, /^lockstep_workers 2$/m);
    assert.match(metrics, /^lockstep_committed_steps_total [1-9]/m);
    assert.match(metrics, /^lockstep_loss \d+\.\d+$/m);
    assert.equal((await fetch(`${address}/nothing`)).status, 404);
    await stopped(run, out);
  });
});
