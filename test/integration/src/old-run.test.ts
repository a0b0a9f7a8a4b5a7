/**
 * A run folder that commit 6737c86 made still verifies, resumes and gives the same samples.
 *
 * fixtures/run-6737c86 was made on an AMD EPYC with AVX2 and no AVX-512, with the data that `writeData` writes in /tmp/waves:
 *
 *   lockstep up --preset tiny --steps 8 --global-batch 32 --microbatch-size 2 --checkpoint-every 1 --keep-checkpoints 1 --workers 2
 *     --data /tmp/waves --out run      # stopped after 6 steps; one worker that is not stopped comes to the state LAST
 *   lockstep sample run --out sample.png --grid 2x2 --seed 1
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PNG } from 'pngjs';
import { digestOf, lockstep, temporaryFolder } from './harness.js';

const FIXTURE = fileURLToPath(new URL('../fixtures/run-6737c86', import.meta.url));
/** Digests of the states after 6 and after 8 steps. */
const STOPPED = 'c42595578b4678788e8e22b8388c03aacad1b310e0c3366ae2ef989714e5237e';
const LAST = '59ff0210f143d4cc5820dff5c2d184b3e0ab8a5fd490cf684d676fb2758d605b';

/** 32 waves of 28x28 in two classes, as IDX files. */
function writeData(folder: string): void {
  const [count, side] = [32, 28];
  const pixels = Uint8Array.from({ length: count * side * side }, (_, at) => {
    const [image, y, x] = [Math.floor(at / (side * side)), Math.floor(at / side) % side, at % side];
    return (x * (image + 1) + y * 7 * (image % 5)) % 256;
  });
  const header = (...words: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(4 * words.length);
    words.forEach((word, index) => bytes.writeUInt32BE(word, 4 * index));
    return bytes;
  };
  const labels = Uint8Array.from({ length: count }, (_, image) => image % 2);
  mkdirSync(folder);
  writeFileSync(join(folder, 'train-images-idx3-ubyte'), Buffer.concat([header(0x803, count, side, side), pixels]));
  writeFileSync(join(folder, 'train-labels-idx1-ubyte'), Buffer.concat([header(0x801, count), labels]));
}

describe('a run of commit 6737c86', () => {
  let folder = '';
  let run = '';
  let data = '';
  const cleanups: (() => void)[] = [];

  before(() => {
    folder = temporaryFolder({ after: (action) => cleanups.push(action) });
    run = join(folder, 'run');
    data = join(folder, 'waves');
    mkdirSync(run);
    execFileSync('tar', ['-xzf', join(FIXTURE, 'run.tar.gz'), '-C', run]);
    writeData(data);
  });

  after(() => cleanups.forEach((action) => action()));

  it('has the digest that it had, and is verified with its data in another place', async () => {
    assert.equal(await digestOf(run), STOPPED);
    const { status, stdout, stderr } = await lockstep('verify', run, '--data', data);
    assert.deepEqual([status, stderr], [0, ''], stdout);
    assert.match(stdout, /^verified$/m);
  });

  it('gives the samples that it gave', async () => {
    const out = join(folder, 'sample.png');
    const { status, stderr } = await lockstep('sample', run, '--out', out, '--grid', '2x2', '--seed', '1');
    assert.equal(status, 0, stderr);
    const [then, now] = [join(FIXTURE, 'sample.png'), out].map((file) => PNG.sync.read(readFileSync(file)));
    assert.deepEqual([now.width, now.height], [then.width, then.height]);
    // A processor with other instructions rounds in another way, and a grey level may come out as the next one.
    const far = then.data.findIndex((level, at) => Math.abs(level - now.data[at]) > 1);
    assert.equal(far, -1, `pixel value ${far} is ${now.data[far]}, was ${then.data[far]}`);
  });

  it('is drawn, not tried', async () => {
    const { status, stderr } = await lockstep('try', run);
    assert.notEqual(status, 0);
    assert.match(stderr, /E_TASK_CANNOT: .*draw its samples by lockstep sample /);
  });

  it('goes on to the state that it would have come to', async (test) => {
    const args = ['--out', run, '--resume', '--data', data, '--workers', '1', '--port', '0'];
    const { status, stdout, stderr } = await lockstep('up', ...args);
    if (stdout.includes('E_NUMERICS_CLASS'))
      return test.skip('the processor gives other bits than the one that it began on');
    assert.equal(status, 0, stdout + stderr);
    assert.equal(await digestOf(run), LAST);
    assert.equal((await lockstep('verify', run, '--data', data)).status, 0);
  });
});
