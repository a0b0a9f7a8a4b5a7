import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { IDX_NAMES, idxHeader } from '@lockstep/diffusion';
import { Cli, lockstep, temporaryFolder, tinyRun } from './harness.js';

describe('the command line', () => {
  it('names an unknown flag and ends with status 2', async () => {
    const { status, stderr } = await lockstep('up', '--stepz', '5');
    assert.notEqual(status, 0);
    assert.match(stderr, /--stepz/);
  });

  it('names a bad value and where it comes from: flag, environment, file', async (test) => {
    const folder = temporaryFolder(test);
    const flag = await lockstep('up', '--steps', '0', '--out', join(folder, 'a'));
    assert.equal(flag.status, 2);
    assert.match(flag.stderr, /E_CONFIG_BAD_VALUE: steps is "0" \(from flag --steps\)/);

    const environment = await new Cli(['up', '--out', join(folder, 'b')], { LOCKSTEP_SEED: 'x' }).ended;
    assert.equal(environment.status, 2);
    assert.match(environment.stderr, /E_CONFIG_BAD_VALUE: seed is "x" \(from environment variable LOCKSTEP_SEED\)/);

    const unknown = await new Cli(['up', '--out', join(folder, 'c')], { LOCKSTEP_SEEED: '1' }).ended;
    assert.equal(unknown.status, 2);
    assert.match(unknown.stderr, /E_CONFIG_UNKNOWN_KEY.*LOCKSTEP_SEEED/s);

    const file = join(folder, 'run.json');
    writeFileSync(file, '{"globalBatch": 10, "microbatchSize": 4}');
    const conflict = await lockstep('up', '--config', file, '--out', join(folder, 'd'));
    assert.equal(conflict.status, 2);
    assert.match(conflict.stderr, /E_CONFIG_CONFLICT.*microbatchSize is 4 .*globalBatch is 10/s);
    assert.equal(existsSync(join(folder, 'd')), false);
  });

  it('samples a PNG grid from the newest checkpoint, the same for the same seed, whatever the number of workers', async (test) => {
    const folder = temporaryFolder(test);
    const out = join(folder, 'run');
    assert.equal((await lockstep(...tinyRun(out, 1, 5))).status, 0);
    const draw = async (name: string, seed: string, workers: string): Promise<Buffer> => {
      const file = join(folder, name);
      const { status, stdout, stderr } = await lockstep(
        'sample',
        out,
        '--out',
        file,
        '--grid',
        '3x6',
        '--steps',
        '4',
        '--seed',
        seed,
        '--scale',
        '1',
        '--workers',
        workers,
      );
      assert.equal(status, 0, stderr);
      assert.match(stdout, /3x6 images from the checkpoint of step 5/);
      return readFileSync(file);
    };
    const first = await draw('a.png', '1', '1');
    assert.equal(first.subarray(1, 4).toString('latin1'), 'PNG');
    assert.equal(first.readUInt32BE(16), 6 * (28 + 2) + 2, 'width');
    assert.equal(first.readUInt32BE(20), 3 * (28 + 2) + 2, 'height');
    assert.deepEqual(await draw('b.png', '1', '3'), first);
    assert.notDeepEqual(await draw('c.png', '2', '2'), first);
  });

  it('trains on a folder of IDX files, which may be moved but not changed: a run verifies, replays and resumes by its digest', async (test) => {
    const root = temporaryFolder(test);
    const folder = join(root, 'data');
    mkdirSync(folder);
    const images = Buffer.concat([idxHeader([64, 28, 28]), new Uint8Array(64 * 784).fill(100)]);
    writeFileSync(join(folder, IDX_NAMES.train.images), images);
    writeFileSync(join(folder, IDX_NAMES.train.labels), Buffer.concat([idxHeader([64]), new Uint8Array(64)]));
    const out = join(root, 'run');
    const run = tinyRun(out, 1, 2, '--data', folder);
    const trained = await lockstep(...run);
    assert.equal(trained.status, 0, trained.stdout + trained.stderr);
    assert.equal((await lockstep('verify', out)).status, 0);

    const moved = join(root, 'moved');
    renameSync(folder, moved);
    const replay = ['replay', out, '--step', '1', '--microbatch', '0'];
    const resume = ['up', '--out', out, '--resume', '--workers', '1', '--port', '0'];
    for (const command of [['verify', out], replay, ['eval', out], resume]) {
      const lost = await lockstep(...command);
      assert.equal(lost.status, 1);
      assert.match(lost.stdout + lost.stderr, /E_DATA_MISSING: the run's data was in .*data, .*name where .*--data/);
    }
    for (const command of [['verify', out], replay, resume]) {
      const found = await lockstep(...command, '--data', moved);
      assert.equal(found.status, 0, found.stdout + found.stderr);
    }
    const other = await lockstep('verify', out, '--data', 'mnist');
    assert.match(other.stderr, /E_DATA_CHANGED: the data in mnist is not what the run was trained on/);

    images[1000]++;
    renameSync(moved, folder);
    writeFileSync(join(folder, IDX_NAMES.train.images), images);
    for (const command of [['verify', out], replay, ['eval', out], resume]) {
      const changed = await lockstep(...command);
      assert.equal(changed.status, 1);
      assert.match(
        changed.stdout + changed.stderr,
        /E_DATA_CHANGED: the data in .*data has changed since the run began \(digest [0-9a-f]{12} then, [0-9a-f]{12} now\)/,
      );
    }
  });

  it('refuses images that no network is made for before anything is written', async (test) => {
    const folder = temporaryFolder(test);
    writeFileSync(join(folder, IDX_NAMES.train.images), Buffer.concat([idxHeader([1, 2, 2]), new Uint8Array(4)]));
    writeFileSync(join(folder, IDX_NAMES.train.labels), Buffer.concat([idxHeader([1]), new Uint8Array(1)]));
    const { status, stdout, stderr } = await lockstep(...tinyRun(join(folder, 'run'), 1, 2, '--data', folder));
    assert.equal(status, 1);
    assert.match(stdout + stderr, /E_DATA_SIZE: the images are 2x2: .*16 to 64 pixels a side/);
    assert.equal(existsSync(join(folder, 'run')), false);
  });

  it('exports a SavedModel with its recipe, once: a folder that is there is not written over', async (test) => {
    const folder = temporaryFolder(test);
    const run = join(folder, 'run');
    assert.equal((await lockstep(...tinyRun(run, 1, 2))).status, 0);
    const out = join(folder, 'new', 'exported');
    const { status, stdout, stderr } = await lockstep('export', run, '--out', out, '--images', '3');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /step 2, for 3 images/);
    assert.ok(readFileSync(join(out, 'saved_model.pb')).includes('Conv2D'));
    assert.match(readFileSync(join(out, 'recipe.json'), 'utf8'), /"networkTime": "timestep"/);
    assert.deepEqual(readdirSync(join(folder, 'new')), ['exported']);
    const again = await lockstep('export', run, '--out', out);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /E_EXPORT_EXISTS/);
  });

  it('says what is missing when there is nothing to sample from', async (test) => {
    const folder = temporaryFolder(test);
    const sample = await lockstep('sample', folder, '--out', join(folder, 'x.png'));
    assert.notEqual(sample.status, 0);
    assert.match(sample.stderr, /E_SAMPLE_NO_CHECKPOINT/);
    const digest = await lockstep('digest', folder);
    assert.equal(digest.status, 2);
    assert.equal(digest.stdout, '');
    assert.match(digest.stderr, /E_NO_CHECKPOINT/);
  });

  it('explains every command', async () => {
    for (const command of [[], ['up'], ['sample'], ['digest'], ['export']]) {
      const { status, stdout } = await lockstep(...command, '--help');
      assert.equal(status, 0);
      assert.match(stdout, /Usage: lockstep/);
    }
    assert.match((await lockstep('up', '--help')).stdout, /--heartbeat-timeout-ms/);
  });
});
