/** What is trained on, and where results go: one run on a folder of PNGs, looked at by every command that writes a file. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { gridPng } from '@lockstep/sampler';
import { lockstep, temporaryFolder, tinyRun } from './harness.js';

const CLI = fileURLToPath(new URL('../../../apps/cli/dist/main.js', import.meta.url));
/** In the order of their numbers. */
const CLASSES = Array.from({ length: 12 }, (_, i) => String(i));
const STEPS = 5;

describe('a run on a folder of PNGs', () => {
  const folder = temporaryFolder({ after });
  const [data, out] = [join(folder, 'data'), join(folder, 'run')];
  const [trace, timeline] = [join(folder, 'trace.json'), join(folder, 'timeline')];
  let printed = '';

  before(async () => {
    for (const name of CLASSES) {
      mkdirSync(join(data, name, 'more'), { recursive: true });
      const shade = new Float32Array(28 * 28).fill(Number(name) / 6 - 1);
      const shape = { rows: 24, columns: 24, channels: 1 };
      const grid = { rows: 1, columns: 1, shape, scale: 1, numbered: false };
      // With the grid's white lines around it.
      writeFileSync(join(data, name, '0.png'), gridPng(shade, grid));
      copyFileSync(join(data, name, '0.png'), join(data, name, 'more', '1.png'));
    }
    symlinkSync(timeline, trace);
    const run = await lockstep(...tinyRun(out, 1, STEPS, '--data', data, '--classes', '12', '--trace', trace));
    assert.equal(run.status, 0, run.stdout + run.stderr);
    printed = run.stdout;
  });

  it('says at its start how many images of which classes it read, and keeps that in run.json', () => {
    assert.match(printed, /data: 24 images of 28x28, 12 classes \(0 1 2 3 4 5 6 7 8 9 10 11\), digest [0-9a-f]{12}/);
    const schema = z.object({ dataset: z.object({ count: z.number(), classNames: z.array(z.string()) }) });
    const { dataset } = schema.parse(JSON.parse(readFileSync(join(out, 'run.json'), 'utf8')));
    assert.deepEqual(dataset, { count: 24, classNames: CLASSES });
  });

  it('writes its timeline where a link leads, and nothing beside it', () => {
    assert.ok(lstatSync(trace).isSymbolicLink());
    assert.ok(
      Array.isArray(
        z.object({ traceEvents: z.array(z.unknown()) }).parse(JSON.parse(readFileSync(timeline, 'utf8'))).traceEvents,
      ),
    );
    assert.deepEqual(readdirSync(folder).sort(), ['data', 'run', 'timeline', 'trace.json']);
    assert.deepEqual(readdirSync(join(out, 'logs')).sort(), ['coordinator.log', 'worker-0.log']);
  });

  it('is verified with all whole epochs in one line', async () => {
    const { status, stdout } = await lockstep('verify', out);
    assert.equal(status, 0, stdout);
    assert.match(
      stdout,
      /^epochs 0 to 1: each of the 24 samples used exactly once\nepoch 2: 12 samples used, 12 exactly once/m,
    );
  });

  it('is refused a file that cannot be written before anything is drawn, replayed or exported', async () => {
    const nosuch = join(folder, 'nosuch', 'x.png');
    const refused = async (pattern: RegExp, status: number, ...args: string[]): Promise<void> => {
      const ended = await lockstep(...args);
      assert.match(ended.stderr, pattern);
      assert.deepEqual([ended.status, ended.stdout], [status, '']);
      assert.doesNotMatch(ended.stderr, /drawing|redoing|\.tmp/);
    };
    await refused(
      /^E_OUTPUT_PATH: .*nosuch.x\.png cannot be written: there is no folder/,
      2,
      'sample',
      out,
      '--out',
      nosuch,
    );
    await refused(/^E_OUTPUT_PATH: /, 2, 'sample', out, '--out', join(folder, 'ok.png'), '--animate', nosuch);
    const below = join(timeline, 'x');
    await refused(
      /^E_REPLAY_WRITE: .*timeline.x cannot be written/,
      1,
      'replay',
      out,
      '--step',
      '1',
      '--microbatch',
      '0',
      '--out',
      below,
    );
    await refused(/^E_OUTPUT_PATH: .*timeline.x cannot be written/, 2, 'export', out, '--out', below);
    assert.deepEqual(readdirSync(folder).sort(), ['data', 'run', 'timeline', 'trace.json']);
  });

  it('is drawn with its classes in the order of their numbers, into a link, and into standard output', async () => {
    const [link, picture] = [join(folder, 'link.png'), join(folder, 'picture.png')];
    symlinkSync('picture.png', link);
    const rows = ['sample', out, '--all-classes', '--grid', '1x1', '--steps', '1', '--workers', '1'];
    const linked = await lockstep(...rows, '--out', link);
    assert.equal(linked.status, 0, linked.stderr);
    assert.equal(
      linked.stdout,
      `${link}: 12x1 images from the checkpoint of step ${STEPS}\n`,
      'names that are the numbers are not listed',
    );
    assert.ok(lstatSync(link).isSymbolicLink() && existsSync(picture));

    const child = spawn(process.execPath, [CLI, ...rows, '--out', '/dev/stdout'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    assert.match(await text(child.stderr), /\/dev\/stdout: 12x1 images/);
    assert.deepEqual(Buffer.concat(chunks), readFileSync(picture));
  });

  it('fills a device that has no room with a code, and leaves the device as it is', async () => {
    const full = join(folder, 'full');
    symlinkSync('/dev/full', full);
    const ended = await lockstep('sample', out, '--grid', '1x1', '--steps', '1', '--out', full);
    assert.equal(ended.status, 1);
    assert.match(ended.stderr, /E_OUTPUT_WRITE: .*full cannot be written: no space left on device; make room/);
    assert.ok(lstatSync(full).isSymbolicLink() && lstatSync('/dev/full').isCharacterDevice());
  });
});
