import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { cacheDirectoryIn } from '@lockstep/config';
import { fillNormal, initialParameters, parameterTable, PRESETS, STREAMS } from '@lockstep/diffusion';
import { engineDirectory, engineEnvironment } from '@lockstep/engine';
import { IMAGES_A_BATCH, THREADS, type DrawJob } from '#src/draw/job.js';
import { drawBatches, type DrawTask } from '#src/draw/pool.js';
import type { Watch } from '#src/draw/silence.js';

const FIXTURE = new URL('./draw-worker.fixture.js', import.meta.url);
const SETTING = { device: 'cpu', threads: THREADS } as const;
const { model } = PRESETS.tiny;

/** Eight images a batch of the tiny network, whose last convolution is not zero here, so that it has something to say. */
function tinyJob(): DrawJob {
  const weights = initialParameters(model, 3);
  for (const { name, offset, size } of parameterTable(model)) {
    if (name.startsWith('conv_out'))
      fillNormal(weights.subarray(offset, offset + size), { seed: 1, stream: STREAMS.noise, step: 0, position: 0 });
  }
  return {
    engine: { ...SETTING, directory: engineDirectory('cpu', cacheDirectoryIn(process.env)) },
    recipe: PRESETS.tiny,
    sampler: { kind: 'ddim', steps: 5, eta: 0.5, clip: true },
    seed: 9,
    condition: null,
    kept: [5],
    weights,
  };
}

type Drawn = { readonly batches: ReadonlyMap<number, Float32Array>; readonly warnings: readonly string[] };

/** Draws with `workers` processes; `fixture`: what becomes of them, or the production module. */
async function drawn(
  workers: number,
  batches: number,
  fixture: NodeJS.ProcessEnv | null,
  more: Partial<DrawTask> = {},
): Promise<Drawn> {
  const found = new Map<number, Float32Array>();
  const warnings: string[] = [];
  const environment = { ...process.env, ...engineEnvironment(SETTING), ...fixture };
  await drawBatches({
    job: tinyJob(),
    batches,
    environments: Array.from({ length: workers }, () => environment),
    onStep: () => undefined,
    onDrawn: (batch, images) => {
      assert.ok(!found.has(batch), `batch ${batch} was drawn twice`);
      found.set(batch, images);
    },
    warn: (text) => warnings.push(text),
    ...(fixture === null ? {} : { module: FIXTURE }),
    ...more,
  });
  return { batches: new Map([...found].sort(([a], [b]) => a - b)), warnings };
}

/** The name of a file that is not there. */
function once(context: TestContext): { FIXTURE_ONCE: string } {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-pool-'));
  context.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return { FIXTURE_ONCE: join(folder, 'struck') };
}

const PRETENDED = new Map(
  [0, 1, 2, 3, 4].map((batch) => [batch, Float32Array.from([0, 1, 2, 3], (p) => batch * 4 + p + 9)]),
);

test('images have the same pixels with one, two and three workers, and when one is killed in the middle of a batch', async (context) => {
  const alone = await drawn(1, 3, null);
  assert.equal(alone.batches.size, 3);
  for (const images of alone.batches.values()) {
    assert.equal(images.length, IMAGES_A_BATCH * 28 * 28);
    assert.ok(new Set(images).size > 100, 'an image, not a constant');
  }
  for (const workers of [2, 3]) assert.deepEqual((await drawn(workers, 3, null)).batches, alone.batches);
  const killed = await drawn(2, 3, { FIXTURE_FATE: 'real and dies', ...once(context) });
  assert.deepEqual(killed.batches, alone.batches);
  assert.match(killed.warnings.join('\n'), /worker-\d died \(SIGKILL\); /);
});

test('every batch is drawn once, by more workers than batches too', async () => {
  assert.deepEqual((await drawn(2, 5, {})).batches, PRETENDED);
  assert.equal((await drawn(3, 1, {})).batches.size, 1);
});

test('a worker that freezes is ended, and its batch drawn by another', async (context) => {
  const struck = once(context);
  // The first process freezes once the file is there; how long a process is quiet before does not matter.
  let processes = 0;
  const watch = (silent: () => void): Watch => {
    const look = processes++ === 0 ? setInterval(() => existsSync(struck.FIXTURE_ONCE) && silent(), 20) : undefined;
    return { refresh: () => undefined, end: () => clearInterval(look) };
  };
  const { batches, warnings } = await drawn(1, 5, { FIXTURE_FATE: 'freezes', ...struck }, { watch });
  assert.deepEqual(batches, PRETENDED);
  assert.match(warnings[0] ?? '', /worker-0 has said nothing for 120 s or more, and hangs: it is ended/);
});

test('when all workers die again and again, drawing ends with E_SAMPLE_WORKERS', async () => {
  await assert.rejects(drawn(2, 5, { FIXTURE_FATE: 'dies' }), { code: 'E_SAMPLE_WORKERS', message: /SIGKILL/ });
});

test('what a worker cannot do ends the drawing with its own code', async () => {
  await assert.rejects(drawn(2, 5, { FIXTURE_FATE: 'fails' }), { code: 'E_SAMPLE_MODEL', text: 'cannot go on' });
});

test('a worker told to load an engine that is not there says so', async () => {
  const job = tinyJob();
  const missing = { ...job, engine: { ...job.engine, directory: '/nowhere' } };
  await assert.rejects(drawn(1, 1, null, { job: missing }), { code: 'E_ENGINE_MISSING' });
});
