import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cacheDirectoryIn } from '@lockstep/config';
import type { JsonObject } from '@lockstep/base';
import { Ledger, decodeSafetensors, openRun, runPaths } from '@lockstep/run';
import { loadEngineHere, type Engine } from '@lockstep/engine';
import { digestOf } from '#src/compute/gradient-digest.js';
import { lineFile, settingsOf, taskFile } from '../compute/own-task.fixture.js';
import { storedConfig, tinySettings, tinyTask, writeRun, type WrittenRun } from '../compute/run.fixture.js';
import { defaultReplayFile, replay, type ReplayReport } from '#src/replay/replay.js';

const STEPS = 5;
const SKIPPED = 3;
let engine: Engine;
let root: string;
let run: string;
let written: WrittenRun;

before(async () => {
  engine = loadEngineHere({ device: 'cpu', threads: 1, cache: cacheDirectoryIn(process.env) }, process.env);
  root = await mkdtemp(join(tmpdir(), 'lockstep-replay-'));
  run = join(root, 'run');
  written = await writeRun(engine, run, { settings: tinySettings(), steps: STEPS, checkpoints: [2], skipped: SKIPPED });
});
after(() => rm(root, { recursive: true, force: true }));

async function replayed(
  step: number,
  microbatch: number,
  { directory = run, out = null }: { directory?: string; out?: string | null } = {},
): Promise<ReplayReport & { redone: number; warnings: string[] }> {
  let redone = 0;
  const warnings: string[] = [];
  const report = await replay({
    directory,
    step,
    microbatch,
    data: null,
    out,
    engine: () => engine,
    onStep: () => redone++,
    warn: (text) => warnings.push(text),
  });
  return { ...report, redone, warnings };
}

function gradientOf(step: number, microbatch: number): Float32Array {
  const gradient = written.gradients.get(`${step}/${microbatch}`);
  assert.ok(gradient);
  return gradient;
}

test('a microbatch is computed again with the bits that it had in the run, from the newest state before it', async () => {
  const report = await replayed(4, 1);
  assert.equal(report.gradientDigest, digestOf(gradientOf(4, 1)));
  assert.deepEqual(report.from, { step: 2, origin: runPaths(run).checkpoints });
  assert.equal(report.redone, 2, 'steps 2 and 3; the ledger says that 3 was skipped');
  assert.equal(report.samples, report.samplesInLedger);
  assert.deepEqual(report.nonFinite, []);
  assert.ok(report.notes['timesteps'].every((t) => Number.isInteger(t) && t >= 1 && t <= 1000));
  assert.deepEqual(report.warnings, []);
});

test('before the first checkpoint, replay begins with the state that the seed gives', async () => {
  const report = await replayed(1, 0);
  assert.deepEqual(report.from, { step: 0, origin: 'the seed' });
  assert.equal(report.gradientDigest, digestOf(gradientOf(1, 0)));
});

test('the norm and the largest number are those of the gradient, and the tensor is named', async () => {
  const report = await replayed(2, 0);
  const gradient = [...gradientOf(2, 0)];
  const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
  assert.ok(Math.abs(report.gradientNorm - norm) < 1e-12 * norm, 'but for the order of the sum');
  assert.equal(report.largest?.magnitude, Math.max(...gradient.map(Math.abs)));
  assert.match(report.largest?.tensor ?? '', /\.(weight|bias)$/);
});

test('the step after the last committed one can be replayed, the one after that cannot', async () => {
  const report = await replayed(STEPS, 0);
  assert.equal(report.samplesInLedger, null);
  await assert.rejects(replayed(STEPS + 1, 0), { code: 'E_REPLAY_STEP' });
  await assert.rejects(replayed(-1, 0), { code: 'E_REPLAY_STEP' });
});

test('a microbatch that a step does not have is refused', async () => {
  await assert.rejects(replayed(1, 2), { code: 'E_REPLAY_MICROBATCH', message: /2 microbatches/ });
});

test('the file holds the batch, the weights and the gradient', async () => {
  const out = defaultReplayFile(run, 2, 1);
  const report = await replayed(2, 1, { out });
  const { tensors, metadata } = decodeSafetensors(await readFile(out));
  assert.deepEqual([...(tensors.get('indices')?.data ?? [])], report.indices);
  assert.deepEqual(tensors.get('x0')?.shape, [4, 28, 28, 1]);
  const joined = (prefix: string) =>
    [...tensors].filter(([name]) => name.startsWith(prefix)).flatMap(([, { data }]) => [...data]);
  assert.equal(digestOf(Float32Array.from(joined('gradient.'))), report.gradientDigest);
  assert.equal(joined('weights.').length, joined('gradient.').length);
  assert.equal(metadata['step'], '2');
  await assert.rejects(replayed(0, 0, { out: join(out, 'below-a-file') }), { code: 'E_REPLAY_WRITE' });
});

test('a gradient that is not finite is found again from the incident that the run left, with the tensors named', async () => {
  const directory = join(root, 'diverged');
  const incidents = join(directory, 'incidents');
  const settings = tinySettings({ learningRate: 1e20 });
  const diverged = await writeRun(engine, directory, { settings, steps: 20, checkpoints: [], incidents });
  assert.ok(diverged.committed > 0 && diverged.committed < 20, `diverged at step ${diverged.committed}`);
  const reports = [
    await replayed(diverged.committed, 0, { directory }),
    await replayed(diverged.committed, 1, { directory }),
  ];
  const bad = reports.find(({ nonFinite }) => nonFinite.length > 0);
  assert.ok(bad);
  assert.deepEqual(bad.from, { step: diverged.committed, origin: incidents });
  assert.ok(bad.nonFinite.every(({ count, size }) => count > 0 && count <= size));
  assert.ok(!Number.isFinite(bad.gradientNorm));
});

test("a redone step whose state is not the ledger's is refused, naming step, digests and the engines' difference", async () => {
  const directory = join(root, 'elsewhere');
  const settings = tinySettings();
  const { record, paths } = await openRun(directory, {
    runId: 'run-2',
    seed: settings.seed,
    dataDigest: settings.dataDigest,
    config: storedConfig(settings),
    createdAt: 1,
  });
  assert.equal(record.runId, 'run-2');
  const ledger = await Ledger.open(paths.ledger);
  await ledger.setClass({ probe: 'ab'.repeat(32), engine: { threads: '7' } });
  const digest = 'cd'.repeat(32);
  const samples = ['0123456789abcdef', '0123456789abcdef'];
  await ledger.append({
    step: 0,
    generation: 1,
    plan: ['a', 'a'],
    losses: [1, 1],
    samples,
    skipped: false,
    digest,
    at: 1,
  });
  await ledger.close();
  await assert.rejects(replayed(1, 0, { directory }), {
    code: 'E_REPLAY_DIGEST',
    message: new RegExp(`step 0 .* gives state [0-9a-f]{64}, the ledger has ${digest}.*threads 1 here, 7 there`, 's'),
  });
  assert.equal((await replayed(0, 0, { directory })).samplesInLedger, samples[0]);
});

/** Writes run.json anew with another config, for as long as `work` takes. */
async function withConfig(directory: string, config: JsonObject, work: () => Promise<void>): Promise<void> {
  const file = join(directory, 'run.json');
  const before = await readFile(file, 'utf8');
  await writeFile(file, JSON.stringify({ ...JSON.parse(before), config }));
  await work().finally(() => writeFile(file, before));
}

test('a run is replayed with its own wire and arithmetic, and one of before there was a choice with int32 and 1', async () => {
  const directory = join(root, 'int16');
  const settings = { ...tinySettings(), wire: 'int16' as const };
  const { gradients } = await writeRun(engine, directory, { settings, steps: 3, checkpoints: [] });
  const report = await replayed(2, 0, { directory });
  assert.equal(report.redone, 2);
  assert.equal(report.gradientDigest, digestOf(gradients.get('2/0') ?? assert.fail()));
  const older = { preset: 'tiny', recipe: tinyTask().recipe };
  await withConfig(directory, { ...older, arithmetic: 2 }, async () => {
    await assert.rejects(replayed(2, 0, { directory }), { code: 'E_REPLAY_DIGEST' });
  });
  await withConfig(directory, { ...storedConfig(settings), wire: 'int8' }, async () => {
    await assert.rejects(replayed(2, 0, { directory }), { code: 'E_RUN_CORRUPT', message: /wire/ });
  });
  const first = join(root, 'first');
  const { gradients: ofFirst } = await writeRun(engine, first, {
    settings: { ...tinySettings(), arithmetic: 1 },
    steps: 2,
    checkpoints: [],
  });
  await withConfig(first, older, async () => {
    const { gradientDigest } = await replayed(1, 1, { directory: first });
    assert.equal(gradientDigest, digestOf(ofFirst.get('1/1') ?? assert.fail()));
  });
  await withConfig(first, { ...older, arithmetic: 2 }, async () => {
    await assert.rejects(replayed(2, 1, { directory: first }), { code: 'E_REPLAY_DIGEST' });
  });
});

test("a microbatch of a user's own task is replayed with its figures, and its inputs by number", async () => {
  const directory = join(root, 'own');
  const { settings } = await settingsOf(taskFile(lineFile()));
  const { gradients } = await writeRun(engine, directory, { settings, steps: 2, checkpoints: [] });
  const out = defaultReplayFile(directory, 1, 0);
  const report = await replayed(1, 0, { directory, out });
  assert.equal(report.gradientDigest, digestOf(gradients.get('1/0') ?? assert.fail()));
  assert.deepEqual(Object.keys(report.figures), ['distance']);
  assert.deepEqual(report.notes, {});
  const { tensors } = decodeSafetensors(await readFile(out));
  assert.deepEqual(
    [...tensors].map(([name, { shape }]) => [name, [...shape]]),
    [
      ['indices', [4]],
      ['input.0', [4]],
      ['weights.slope', [1]],
      ['weights.height', [1]],
      ['gradient.slope', [1]],
      ['gradient.height', [1]],
    ],
  );
  assert.deepEqual(
    [...(tensors.get('input.0')?.data ?? [])],
    report.indices.map((index) => Math.fround(index / 40)),
  );
});

test('a run of a task with another code is not replayed', async () => {
  const task = { module: 'diffusion', code: { version: 'another' } };
  await withConfig(run, { ...storedConfig(tinySettings()), task }, async () => {
    await assert.rejects(replayed(1, 0), { code: 'E_TASK_CODE', message: /version is another/ });
  });
});

test('a run of a recipe that this version cannot build is refused', async () => {
  const directory = join(root, 'other-recipe');
  const settings = tinySettings();
  const recipe = { ...settings.recipe, lossWeighting: 'unheard of' };
  const proposal = { runId: 'r', seed: 3, dataDigest: settings.dataDigest, createdAt: 1 };
  await openRun(directory, { ...proposal, config: storedConfig({ ...settings, recipe }) });
  await assert.rejects(replayed(0, 0, { directory }), { code: 'E_REPLAY_RECIPE' });
});
