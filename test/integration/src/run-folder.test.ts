/** A run's folder: made late, resumed as it is, started from another run's state. Real processes, the small network. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { z } from 'zod';
import { Cli, digestOf, lockstep, temporaryFolder, untilStep } from './harness.js';

const STEPS = 12;
const FEW = ['--workers', '1', '--port', '0'];

const recordSchema = z.object({
  runId: z.string(),
  seed: z.number(),
  config: z.object({ recipe: z.object({ steps: z.number(), globalBatch: z.number() }) }),
  origin: z.object({ runId: z.string(), step: z.number(), digest: z.string() }).optional(),
});

function recordOf(out: string): z.infer<typeof recordSchema> {
  return recordSchema.parse(JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')));
}

describe("a run's folder", () => {
  let folder = '';
  let one = '';
  const cleanups: (() => void)[] = [];

  before(async () => {
    folder = temporaryFolder({ after: (action) => cleanups.push(action) });
    one = join(folder, 'one');
    // As the guide has it: only what differs from the defaults is named, and nothing of it again on resume.
    const size = ['--global-batch', '6', '--microbatch-size', '2', '--checkpoint-every', '3'];
    const began = new Cli(['up', '--preset', 'tiny', '--seed', '1', '--steps', '2400', '--out', one, ...size, ...FEW]);
    await untilStep(began, 4);
    began.signal('SIGINT');
    assert.equal((await began.ended).status, 130);
  });

  after(() => cleanups.forEach((action) => action()));

  it('is resumed as it is when nothing is given again, and refuses with all that was given and differs', async () => {
    const resumed = new Cli(['up', '--out', one, '--resume', ...FEW]);
    await untilStep(resumed, 6);
    resumed.signal('SIGINT');
    assert.equal((await resumed.ended).status, 130);
    const file = join(folder, 'config.json');
    writeFileSync(file, '{"steps": 5, "globalBatch": 6}');
    const other = new Cli(['up', '--out', one, '--resume', '--seed', '0', '--config', file], {
      LOCKSTEP_PRESET: 'default',
    });
    const { status, stdout, stderr } = await other.ended;
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /preset is "tiny" there, "default" was asked for \(environment variable LOCKSTEP_PRESET\); /);
    assert.match(stderr, /seed is 1 there, 0 was asked for \(flag --seed\); /);
    assert.match(stderr, /steps is 2400 there, 5 was asked for \(file .*config\.json\)\./);
    assert.doesNotMatch(stderr, /globalBatch/);
  });

  it("starts from another run's state: the same digest with one worker and three, also when that run is gone", async () => {
    const parent = await digestOf(one);
    const outs = await Promise.all(
      ['1', '3'].map(async (workers) => {
        const out = join(folder, `from-${workers}`);
        const args = ['--from', one, '--out', out, '--steps', String(STEPS), '--workers', workers, '--port', '0'];
        const { status, stdout, stderr } = await lockstep('up', ...args);
        assert.equal(status, 0, stdout + stderr);
        assert.match(stdout, new RegExp(`starts from step \\d+ of run .*, state ${parent.slice(0, 12)}; seed 2`));
        assert.doesNotMatch(stdout, /back to 0/);
        return out;
      }),
    );
    const [first = '', second = ''] = outs;
    assert.equal(await digestOf(first), await digestOf(second));
    const { origin, seed, config } = recordOf(first);
    assert.deepEqual([origin?.runId, origin?.digest, seed], [recordOf(one).runId, parent, 2]);
    assert.deepEqual([config.recipe.steps, config.recipe.globalBatch], [STEPS, 6]);

    rmSync(one, { recursive: true });
    const verified = await lockstep('verify', first);
    assert.equal(verified.status, 0, verified.stdout);
    assert.match(verified.stdout, new RegExp(`origin: ok, the run starts from step \\d+ of run .*, state ${parent}`));
    const replayed = await lockstep('replay', first, '--step', '2', '--microbatch', '1');
    assert.equal(replayed.status, 0, replayed.stderr);
    assert.match(replayed.stderr, /began with state 0 from step \d+ of run/);
    assert.match(replayed.stdout, /as in the ledger/);
    const resumed = await lockstep('up', '--out', first, '--resume', ...FEW);
    assert.equal(resumed.status, 0, resumed.stdout);
    rmSync(join(first, 'origin'), { recursive: true });
    assert.match((await lockstep('verify', first)).stdout, /origin: FAILED.*E_ORIGIN_STATE/s);
    one = second;
  });

  it('does not start from itself, from no run, from one without a state, from another network, or when it is resumed', async () => {
    const out = join(folder, 'new');
    const empty = join(folder, 'empty');
    cpSync(one, empty, { recursive: true });
    rmSync(join(empty, 'checkpoints'), { recursive: true });
    const cases: [string[], number, RegExp][] = [
      [['--from', folder, '--out', out], 2, /E_RUN_MISSING/],
      [['--from', empty, '--out', out], 1, /E_ORIGIN_CHECKPOINT: .*no whole checkpoint/],
      [['--from', one, '--out', out, '--base-width', '16'], 2, /E_ORIGIN_NETWORK: .*base 8 there, 16 here/],
      [['--from', one, '--out', out, '--preset', 'seed'], 2, /E_ORIGIN_NETWORK: .*kind "unet" there, "seed-unet" here/],
      [['--from', out, '--out', out], 2, /E_CONFIG_CONFLICT: a run cannot start from itself/],
      [['--from', empty, '--out', one, '--resume'], 2, /E_CONFIG_CONFLICT: .*from is .*resume is true/],
    ];
    for (const [args, expected, says] of cases) {
      const { status, stdout, stderr } = await lockstep('up', ...args, ...FEW);
      assert.match(stdout + stderr, says);
      assert.equal(status, expected, args.join(' '));
      assert.equal(existsSync(out), false);
    }
  });

  it('is not made while the port is not held; without --port any free one is taken', async () => {
    const out = join(folder, 'ports');
    // Somebody else may have it already: that will do as well.
    const other = createServer();
    other.on('error', () => undefined);
    other.listen(29_400, '127.0.0.1');
    await Promise.race([once(other, 'listening'), once(other, 'error')].map((one) => one.catch(() => null)));
    const run = ['up', '--preset', 'tiny', '--steps', '2', '--workers', '1', '--out', out];
    const refused = await lockstep(...run, '--port', '29400');
    assert.equal(refused.status, 1);
    assert.match(refused.stdout, /E_PORT_IN_USE: port 29400 of 127\.0\.0\.1 is in use: .*--port \(0: any free one\)/);
    assert.equal(existsSync(out), false);
    const trained = await lockstep(...run);
    other.close();
    assert.equal(trained.status, 0, trained.stdout);
    assert.match(
      trained.stdout,
      /port 29400 is in use; taking any free one\n.*coordinator at ws:\/\/127\.0\.0\.1:\d+/s,
    );
  });
});
