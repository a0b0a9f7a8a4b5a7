/** int16 on the wire: half the bytes, other weights, and they still do not depend on who did the work. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  Cli,
  ENDLESS,
  digestOf,
  lockstep,
  processOf,
  temporaryFolder,
  tinyRun,
  untilStep,
  untilTogether,
} from './harness.js';
import { Undisturbed, stopped } from './undisturbed.js';

const STEPS = 12;
const INT16 = ['--wire', 'int16'];
const BOTH = ['--min-workers', '2'];
/** Steps are logged only then. */
const DEBUG = ['--log-level', 'debug'];

/** Bytes that a worker gave to its ring, of each step of the run, as its coordinator's log says. */
function ringBytesOf(out: string): number[] {
  const log = readFileSync(join(out, 'logs', 'coordinator.log'), 'utf8');
  return [...log.matchAll(/note=committed .*ringBytes=(\d+)/g)].map(([, bytes]) => Number(bytes));
}

describe('int16 on the wire', () => {
  let folder = '';
  let one = '';
  let undisturbed = '';
  const cleanups: (() => void)[] = [];

  before(async () => {
    folder = temporaryFolder({ after: (action) => cleanups.push(action) });
    one = join(folder, 'one');
    const { status, stdout, stderr } = await lockstep(...tinyRun(one, 1, STEPS, ...INT16));
    assert.equal(status, 0, stdout + stderr);
    undisturbed = await digestOf(one);
  });

  after(() => cleanups.forEach((action) => action()));

  it('two workers reach the digest of one, which is not that of int32, and send half the bytes', async () => {
    const [narrow, wide] = [join(folder, 'narrow'), join(folder, 'wide')];
    const environment = await new Cli(tinyRun(narrow, 2, STEPS, ...BOTH, ...DEBUG), { LOCKSTEP_WIRE: 'int16' }).ended;
    assert.equal(environment.status, 0, environment.stdout);
    assert.equal((await lockstep(...tinyRun(wide, 2, STEPS, ...BOTH, ...DEBUG))).status, 0);
    assert.equal(await digestOf(narrow), undisturbed);
    assert.notEqual(await digestOf(wide), undisturbed);
    const [half, whole] = [ringBytesOf(narrow), ringBytesOf(wide)];
    assert.equal(half.length, STEPS);
    assert.ok(half[0] > 0);
    assert.deepEqual(
      whole,
      half.map((bytes) => 2 * bytes),
    );
  });

  it('audited steps, whose gradients are summed as a whole, reach the same digest', async () => {
    const out = join(folder, 'audited');
    const { status, stdout } = await lockstep(...tinyRun(out, 2, STEPS, ...INT16, '--audit-rate', '0.5'));
    assert.equal(status, 0, stdout);
    assert.equal(await digestOf(out), undisturbed);
  });

  it('with a worker killed, stopped, and gone on with by three, it is the digest of one; another wire is refused', async () => {
    const out = join(folder, 'disturbed');
    const run = new Cli(tinyRun(out, 2, ENDLESS, ...INT16, '--max-restarts', '0'));
    await untilTogether(run, 2, 3);
    process.kill(processOf(out, 'worker-1'), 'SIGKILL');
    const [, step] = await run.printed(/generation \d+ at step (\d+) with worker-0 \(lost worker-1/);
    await untilStep(run, Number(step) + 3);
    const before = await stopped(run, out);
    const other = await lockstep(...tinyRun(out, 2, ENDLESS, '--wire', 'int32'), '--resume');
    assert.equal(other.status, 1);
    assert.match(
      other.stdout + other.stderr,
      /E_RUN_CONFLICT: .*wire is "int16" there, "int32" was asked for \(flag --wire\)/,
    );
    const resumed = new Cli(tinyRun(out, 3, ENDLESS, ...INT16, '--resume'));
    await untilTogether(resumed, 3, 3);
    const last = await stopped(resumed, out);
    const endless = new Undisturbed(join(folder, 'endless'), INT16);
    assert.equal(await endless.digestAfter(last.step), last.digest);
    assert.equal(await endless.digestAfter(before.step), before.digest);
  });

  it('it is verified, and replayed to the states of its ledger', async () => {
    assert.equal((await lockstep('verify', one)).status, 0);
    const replayed = await lockstep('replay', one, '--step', String(STEPS - 1), '--microbatch', '1');
    assert.equal(replayed.status, 0, replayed.stderr);
  });
});
