/** Images in colour, by the command line from end to end: coloured shapes in three classes, as PNGs and as IDX files. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { IDX_NAMES, idxHeader, inGrey, loadDataset } from '@lockstep/diffusion';
import { decodeSafetensors } from '@lockstep/run';
import { drawShapes, SHAPES } from './coloured-shapes.js';
import { lockstep, temporaryFolder, tinyRun } from './harness.js';

const [SIDE, EACH, STEPS] = [20, 20, 5];

/** What a PNG's header says of its pixels, and its size. */
function headerOf(file: string): { readonly width: number; readonly height: number; readonly inColour: boolean } {
  const bytes = readFileSync(file);
  assert.equal(bytes.subarray(1, 4).toString('latin1'), 'PNG');
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20), inColour: bytes[25] === 2 };
}

async function done(...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await lockstep(...args);
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

describe('runs on images in colour', () => {
  const folder = temporaryFolder({ after });
  const { png, idx } = drawShapes(join(folder, 'shapes'), { side: SIDE, each: EACH });
  const classes = ['--classes', String(SHAPES.length)];
  const [one, two] = [join(folder, 'one'), join(folder, 'two')];
  let printed = '';

  before(async () => {
    printed = await done(...tinyRun(one, 1, STEPS, '--data', png, ...classes));
    await done(...tinyRun(two, 3, STEPS, '--data', idx, ...classes));
  });

  it('take size, channels and classes from the data', () => {
    assert.match(printed, /data: 60 images of 20x20 in colour, 3 classes \(circle square triangle\)/);
  });

  it('have one digest with one worker on PNGs, and with three on the IDX files of the same images', async () => {
    const digest = await done('digest', one);
    assert.match(digest, /[0-9a-f]{64}/);
    assert.equal(await done('digest', two), digest);
    await done('verify', one);
  });

  it('are replayed with images of their shape', async () => {
    const file = join(folder, 'replay.safetensors');
    await done('replay', one, '--step', '2', '--microbatch', '1', '--out', file);
    const { tensors } = decodeSafetensors(readFileSync(file));
    assert.deepEqual(tensors.get('x0')?.shape, [2, SIDE, SIDE, 3]);
  });

  it('are drawn in colour, a row a class, and their denoising as GIF and as APNG', async () => {
    const draw = async (name: string, ...more: readonly string[]): Promise<string> => {
      const file = join(folder, name);
      const size = ['--grid', '1x2', '--all-classes', '--steps', '2', '--scale', '1', '--workers', '1'];
      const stdout = await done('sample', one, '--out', file, ...size, ...more);
      assert.match(stdout, /3x2 images[^]*row 0: circle\nrow 1: square\nrow 2: triangle/);
      return file;
    };
    const gif = join(folder, 'steps.gif');
    const first = await draw('x.png', '--animate', gif);
    const { height, inColour } = headerOf(first);
    assert.deepEqual([height, inColour], [3 * (SIDE + 2) + 2, true]);
    assert.equal(readFileSync(gif).subarray(0, 6).toString('latin1'), 'GIF89a');
    const apng = join(folder, 'steps.apng');
    assert.deepEqual(readFileSync(await draw('y.png', '--animate', apng)), readFileSync(first));
    assert.deepEqual([headerOf(apng), readFileSync(apng).includes('acTL')], [headerOf(first), true]);
  });

  it('are exported with inputs of their shape, and cannot be evaluated without test images, which is said', async () => {
    const exported = join(folder, 'exported');
    await done('export', one, '--out', exported, '--images', '2');
    assert.match(readFileSync(join(exported, 'recipe.json'), 'utf8'), /"imageSize": 20,\s+"channels": 3/);
    const refused = await lockstep('eval', one);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /E_DATA_MISSING: .*png is a folder of PNGs, which has no test half.*IDX files/);
    const few = await lockstep('eval', one, '--data', idx, '--samples', '100');
    assert.match(few.stderr, /E_EVALUATE_SAMPLES: the data has 60 training and 12 test images/);
  });

  it('that were begun in grey, when colours were read as grey, are verified and replayed on the same PNGs', async () => {
    const { images, labels, count } = inGrey(loadDataset(png, 'train'));
    const grey = temporaryFolder({ after });
    writeFileSync(join(grey, IDX_NAMES.train.images), Buffer.concat([idxHeader([count, SIDE, SIDE]), images]));
    writeFileSync(join(grey, IDX_NAMES.train.labels), Buffer.concat([idxHeader([count]), labels]));
    const old = join(folder, 'old');
    await done(...tinyRun(old, 1, 2, '--data', grey, ...classes));
    await done('verify', old, '--data', png);
    await done('replay', old, '--step', '1', '--microbatch', '0', '--data', png);
    await done('up', '--out', old, '--resume', '--workers', '1', '--port', '0', '--data', png);
  });
});
