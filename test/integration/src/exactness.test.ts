/** The promise: the weights do not depend on who did the work. Real processes, real sockets, the small network. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, it, after } from 'node:test';
import { Ledger, runPaths, type LedgerEntry } from '@lockstep/checkpoint';
import { Cli, addressOf, digestOf, lockstep, processOf, temporaryFolder, tinyRun, untilStep } from './harness.js';

const STEPS = 16;

/** The ledger's entry of `step`, or its last. */
async function lastOf(out: string, step?: number): Promise<LedgerEntry> {
  const ledger = await Ledger.openReader(runPaths(out).ledger);
  const entry = step === undefined ? ledger.last() : ledger.get(step);
  await ledger.close();
  assert.ok(entry !== undefined);
  return entry;
}

describe('the weights do not depend on who did the work', () => {
  let folder = '';
  let undisturbed = '';
  const cleanups: (() => void)[] = [];

  before(async () => {
    folder = temporaryFolder({ after: (action) => cleanups.push(action) });
    const out = join(folder, 'one');
    const { status, stdout, stderr } = await lockstep(...tinyRun(out, 1, STEPS));
    assert.equal(status, 0, stdout + stderr);
    undisturbed = await digestOf(out);
  });

  after(() => cleanups.forEach((action) => action()));

  for (const workers of [2, 3]) {
    it(`${workers} workers reach the digest of one, and each of them computed gradients`, async () => {
      const out = join(folder, `workers-${workers}`);
      const { status, stdout, stderr } = await lockstep(...tinyRun(out, workers, STEPS));
      assert.equal(status, 0, stdout + stderr);
      assert.equal(await digestOf(out), undisturbed);
      const ledger = await Ledger.openReader(runPaths(out).ledger);
      const entries = [...ledger.range(0, STEPS)];
      const chain = ledger.verifyChain();
      await ledger.close();
      assert.deepEqual(chain, { ok: true, entries: STEPS });
      assert.equal(entries.length, STEPS);
      assert.equal(entries.at(-1)?.digest, undisturbed);
      assert.equal(new Set(entries.flatMap((entry) => entry.plan)).size, workers);
    });
  }

  it('another seed reaches another digest', async () => {
    const out = join(folder, 'seed');
    const { status } = await lockstep(...tinyRun(out, 2, STEPS, '--seed', '8'));
    assert.equal(status, 0);
    assert.notEqual(await digestOf(out), undisturbed);
  });

  it('kill -9 of one of two workers: the other finishes the run, and the digest is the same', async () => {
    const out = join(folder, 'killed');
    const run = new Cli(tinyRun(out, 2, STEPS, '--max-restarts', '0'));
    const { workers } = await untilStep(run, 4);
    assert.equal(workers.filter((worker) => worker.inRing).length, 2);
    process.kill(processOf(out, 'worker-1'), 'SIGKILL');
    const { status, stdout } = await run.ended;
    assert.equal(status, 0, stdout);
    assert.match(stdout, /worker-1 is lost/);
    assert.match(stdout, /generation \d+ at step \d+ with worker-0 \(lost worker-1/);
    assert.equal(await digestOf(out), undisturbed);
  });

  it('a killed worker that comes back joins the running ring, and the ledger is that of an undisturbed worker', async () => {
    // Long enough that the run cannot end before the worker is back, however slow the machine: both runs are stopped.
    const endless = 100_000;
    const out = join(folder, 'rejoined');
    const run = new Cli(tinyRun(out, 2, endless, '--max-restarts', '1'));
    await untilStep(run, 2);
    process.kill(processOf(out, 'worker-0'), 'SIGKILL');
    const [, joined] = await run.printed(/generation \d+ at step ([1-9]\d*) with worker-1, worker-0/);
    await untilStep(run, Number(joined) + 3);
    run.signal('SIGINT');
    assert.equal((await run.ended).status, 130);
    const disturbed = await lastOf(out);

    const reference = join(folder, 'endless');
    const quiet = new Cli(tinyRun(reference, 1, endless));
    await untilStep(quiet, disturbed.step + 1);
    quiet.signal('SIGINT');
    assert.equal((await quiet.ended).status, 130);
    assert.equal((await lastOf(reference, disturbed.step)).digest, disturbed.digest);
  });

  it('kill -9 of the coordinator: it is started again, the workers come back to it, and the digest is the same', async () => {
    const out = join(folder, 'coordinator');
    const run = new Cli(tinyRun(out, 2, STEPS));
    await untilStep(run, 5);
    process.kill(processOf(out, 'coordinator'), 'SIGKILL');
    const { status, stdout } = await run.ended;
    assert.equal(status, 0, stdout);
    assert.match(stdout, /the coordinator was killed by SIGKILL; starting it again/);
    assert.equal(await digestOf(out), undisturbed);
  });

  it('SIGINT leaves a checkpoint of the last committed step, and --resume goes on from it to the same digest', async () => {
    const out = join(folder, 'stopped');
    const run = new Cli(tinyRun(out, 2, STEPS));
    await untilStep(run, 3);
    run.signal('SIGINT');
    const stopped = await run.ended;
    assert.equal(stopped.status, 130, stopped.stdout);
    assert.match(stopped.stdout, /stopped: SIGTERM/);
    assert.notEqual(await digestOf(out), undisturbed);
    const refused = await lockstep(...tinyRun(out, 2, STEPS));
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /E_RUN_EXISTS/);
    const resumed = await lockstep(...tinyRun(out, 3, STEPS), '--resume');
    assert.equal(resumed.status, 0, resumed.stdout);
    assert.equal(await digestOf(out), undisturbed);
    const again = await lockstep(...tinyRun(out, 1, STEPS), '--resume');
    assert.equal(again.status, 0, again.stdout);
  });

  it('resuming with another seed is refused, naming the key', async () => {
    const out = join(folder, 'one');
    const { status, stderr } = await lockstep(...tinyRun(out, 1, STEPS, '--seed', '9'), '--resume');
    assert.equal(status, 1);
    assert.match(stderr, /E_RUN_CONFLICT.*seed is 7 there, 9 was asked for \(flag --seed\)/s);
  });

  it('serves health, metrics and status on the port of the WebSocket while it trains', async () => {
    const out = join(folder, 'watched');
    const run = new Cli(tinyRun(out, 2, STEPS));
    await untilStep(run, 2);
    const address = await addressOf(run);
    const health = await fetch(`${address}/healthz`);
    const metrics = await (await fetch(`${address}/metrics`)).text();
    assert.equal(health.status, 200);
    assert.match(metrics, /^lockstep_workers 2$/m);
    assert.match(metrics, /^lockstep_committed_steps_total [1-9]/m);
    assert.match(metrics, /^lockstep_loss \d+\.\d+$/m);
    assert.equal((await fetch(`${address}/nothing`)).status, 404);
    assert.equal((await run.ended).status, 0);
  });
});
