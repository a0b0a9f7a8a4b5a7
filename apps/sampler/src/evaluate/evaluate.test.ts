import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cacheDirectoryIn } from '@lockstep/config';
import { DirectoryStore, openRun, parseEvaluation, runPaths } from '@lockstep/run';
import { CLASSIFIER_RECIPE } from '@lockstep/evaluation';
import {
  type Dataset,
  IDX_NAMES,
  PRESETS,
  type Recipe,
  STREAMS,
  datasetDigest,
  fillNormal,
  idxHeader,
  inGrey,
  initialTrainingState,
  loadMnist,
  parameterTable,
  recipeFor,
  valuesOf,
} from '@lockstep/diffusion';
import { engineDirectory, engineEnvironment, graphDirectory, loadEngine } from '@lockstep/engine';
import { classifierFor, type ClassifierTask } from '#src/evaluate/classifier-store.js';
import { evaluate, type EvaluateRequest } from '#src/evaluate/evaluate.js';
import { loadEvaluationData } from '#src/evaluate/evaluation-data.js';
import { evaluationLines } from '#src/evaluate/evaluation-table.js';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-evaluate-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const STEP = 7;
const RECIPE = { ...CLASSIFIER_RECIPE, steps: 60, warmupSteps: 10 };
const CACHE = cacheDirectoryIn(process.env);
const ENGINE_FOLDERS = { directory: engineDirectory('cpu', CACHE), graphs: graphDirectory(CACHE) };
const BOTH = { train: part(loadMnist('train'), 1500), test: part(loadMnist('test'), 800), classes: 10 };

function part(data: Dataset, count: number): Dataset {
  const size = valuesOf(data.shape);
  return { ...data, images: data.images.subarray(0, count * size), labels: data.labels.subarray(0, count), count };
}

/** A run of the tiny preset with one checkpoint, whose network predicts no noise at all. */
async function makeRun(directory: string, recipe: Recipe = PRESETS.tiny): Promise<string> {
  const record = { runId: 'the run', seed: 0, dataDigest: BOTH.train.digest, config: {}, createdAt: 0 };
  await openRun(directory, record);
  await new DirectoryStore(runPaths(directory).checkpoints).publish({
    runId: record.runId,
    state: { step: STEP, ...initialTrainingState(recipe, 0) },
    table: parameterTable(recipe.model),
    arithmetic: 2,
    model: JSON.parse(JSON.stringify(recipe)) as never,
    createdAt: 0,
  });
  return directory;
}

function request(run: string, change: Partial<EvaluateRequest> = {}): EvaluateRequest & { parts: string[] } {
  const parts: string[] = [];
  return {
    run,
    samples: 100,
    seed: 3,
    sampler: 'ddim',
    steps: 1,
    eta: null,
    variance: null,
    synthetic: null,
    guidance: null,
    device: 'cpu',
    workers: 1,
    processors: 1,
    env: process.env,
    out: null,
    picture: null,
    classifier: RECIPE,
    classifiers: join(folder, 'classifiers'),
    dataOf: () => BOTH,
    wallNow: 0,
    onPart: (text) => parts.push(text),
    onProgress: () => undefined,
    warn: (text) => parts.push(text),
    parts,
    ...change,
  };
}

test('a run is evaluated: every figure with floor and ceiling, JSON and picture whole, the same by a stored classifier', async () => {
  const run = await makeRun(join(folder, 'run'));
  const first = request(run);
  const { evaluation, out, picture } = await evaluate(first);
  assert.equal(out, join(run, 'evaluations', 'step-00000007.json'));
  assert.deepEqual(parseEvaluation(readFileSync(out, 'utf8')), evaluation);
  assert.deepEqual([...readFileSync(picture).subarray(1, 4)], [...Buffer.from('PNG')]);
  assert.deepEqual(readdirSync(join(run, 'evaluations')), ['step-00000007.json', 'step-00000007.png']);
  const { frechetDistance, classes, recall, coverage, trainingDistance, noiseError, closestPairs } = evaluation;
  assert.equal(evaluation.step, STEP);
  assert.ok(evaluation.classifier.testAccuracy > 0.7, `${evaluation.classifier.testAccuracy}`);
  // This network draws noise: what it draws is judged as noise is, and real images are judged as real.
  assert.ok(frechetDistance.floor < frechetDistance.ceiling / 5 && frechetDistance.samples > 5 * frechetDistance.floor);
  assert.ok(recall.floor > 0.5 && recall.samples < 0.1 && coverage.floor > 0.5 && coverage.samples < 0.3);
  assert.ok(trainingDistance.samples.least > trainingDistance.floor.median);
  assert.ok(classes.floor.largestDeviation < 1 && classes.samples.counts.reduce((sum, count) => sum + count) === 100);
  for (const error of [...noiseError.heldOut, ...noiseError.training])
    assert.ok(Math.abs(error - 1) < 0.05, `${error}`);
  for (const { label, sample } of closestPairs) assert.ok(sample < 100 && classes.samples.counts[label] > 0);
  assert.ok(first.parts.includes('drawing 100 samples'));

  const [otherOut, otherPicture] = [join(folder, 'again', 'e.json'), join(folder, 'again', 'e.png')];
  const second = request(run, { out: otherOut, picture: otherPicture });
  assert.deepEqual((await evaluate(second)).evaluation, evaluation);
  assert.deepEqual(readFileSync(otherPicture), readFileSync(picture));
  const text = evaluationLines(evaluation).join('\n');
  assert.match(text, /LeNet-FD to the training set +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d/);
  assert.match(text, /classifier [0-9a-f]{12}: \d\d\.\d % of the test images right/);
});

test("a conditional network's classes are drawn evenly, and a classifier is trained on labelled samples where that is asked for", async () => {
  const { tiny } = PRESETS;
  const run = await makeRun(join(folder, 'conditional'), { ...tiny, model: { ...tiny.model, classes: 10 } });
  const { evaluation } = await evaluate(request(run, { synthetic: 120 }));
  assert.deepEqual(evaluation.sampler, { kind: 'ddim', steps: 1, eta: 0, clip: true, guidance: 2 });
  assert.equal(evaluation.samples, 100);
  // Noise teaches nothing: one in ten is right by chance.
  const { syntheticTraining } = evaluation;
  assert.equal(syntheticTraining?.samples, 120);
  assert.ok(syntheticTraining.testAccuracy < 0.5 && syntheticTraining.testAccuracy > 0.02);
  assert.match(evaluationLines(evaluation).join('\n'), /a classifier trained on 120 samples has \d+\.\d % of the test/);
  const { evaluation: without } = await evaluate(request(run));
  assert.deepEqual({ ...without, syntheticTraining }, evaluation);
  const { evaluation: asTrained } = await evaluate(request(run, { guidance: 1 }));
  // State 0 predicts nothing, with any guidance.
  assert.deepEqual(asTrained.sampler, { kind: 'ddim', steps: 1, eta: 0, clip: true, guidance: 1 });
});

/** A colour a class, and noise: red, green and blue. */
function coloured(count: number, seed: number): Dataset {
  const shape = { rows: 16, columns: 16, channels: 3 };
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 3);
  const noise = new Float32Array(count * valuesOf(shape));
  fillNormal(noise, { seed, stream: STREAMS.noise, step: 0, position: 0 });
  const images = Uint8Array.from(noise, (z, v) => {
    const label = Math.floor(v / valuesOf(shape)) % 3;
    return Math.max(0, Math.min(255, (v % 3 === label ? 180 : 60) + 30 * z));
  });
  const data = { images, labels, count, shape };
  return { ...data, digest: datasetDigest(data), classNames: ['red', 'green', 'blue'] };
}

test('a run on images in colour is evaluated by a classifier of them, and its picture is in colour', async () => {
  const data = { train: coloured(300, 1), test: coloured(120, 2), classes: 3 };
  const recipe = recipeFor({ preset: 'tiny', classes: 3 }, data.train);
  const run = await makeRun(join(folder, 'colour'), recipe);
  const { evaluation, picture } = await evaluate(request(run, { dataOf: () => data }));
  const { frechetDistance, classifier, trainingDistance } = evaluation;
  assert.ok(classifier.testAccuracy > 0.95, `${classifier.testAccuracy}`);
  // State 0 draws noise.
  assert.ok(frechetDistance.floor < frechetDistance.ceiling / 5 && frechetDistance.samples > 5 * frechetDistance.floor);
  assert.ok(trainingDistance.samples.least > trainingDistance.floor.median);
  const bytes = readFileSync(picture);
  assert.equal(bytes[25], 2, 'colour type');
  await assert.rejects(evaluate(request(run, { samples: 200, dataOf: () => data })), {
    code: 'E_EVALUATE_SAMPLES',
    message: /300 training and 120 test images, and 200 samples are compared .*--samples 120 or fewer/,
  });
  const few = { ...data, test: coloured(90, 2) };
  await assert.rejects(evaluate(request(run, { dataOf: () => few })), {
    code: 'E_EVALUATE_SAMPLES',
    message: /90 test images: .* nothing can be said/,
  });
  const doubtful = { ...evaluation, classifier: { ...classifier, testAccuracy: 0.6 } };
  assert.match(evaluationLines(doubtful).join('\n'), /60\.0 % of the test images right; too few for its features/);
  assert.doesNotMatch(evaluationLines(evaluation).join('\n'), /too few/);
});

/** A folder of IDX files with these test images. */
function idxFolder(name: string, train: Dataset, test: Dataset): string {
  const where = join(folder, name);
  mkdirSync(where);
  for (const [split, { images, labels, count, shape }] of [
    ['train', train],
    ['test', test],
  ] as const) {
    const dimensions = [count, shape.rows, shape.columns, shape.channels];
    writeFileSync(join(where, IDX_NAMES[split].images), Buffer.concat([idxHeader(dimensions), images]));
    writeFileSync(join(where, IDX_NAMES[split].labels), Buffer.concat([idxHeader([count]), labels]));
  }
  return where;
}

/** What run.json says of a training that is only judged here. */
const CONFIG = { preset: 'tiny', recipe: { steps: 1, globalBatch: 1, microbatchSize: 1 } };

test('data that nothing can be judged by is refused, and a run in grey on data in colour is judged in grey', async () => {
  const [train, halfTest] = [coloured(30, 1), coloured(12, 2)];
  const both = idxFolder('both', train, halfTest);
  const record = (data: string, dataDigest = train.digest) => ({ config: { ...CONFIG, data }, dataDigest });
  assert.deepEqual((await loadEvaluationData(record(both), 'run', null)).test.shape, halfTest.shape);
  const grey = await loadEvaluationData(record(both, inGrey(train).digest), 'run', null);
  assert.deepEqual([grey.train.shape.channels, grey.test.digest], [1, inGrey(halfTest).digest]);
  const smaller = { ...halfTest, images: halfTest.images.subarray(0, 12 * 12 * 12 * 3) };
  const unequal = idxFolder('unequal', train, { ...smaller, shape: { rows: 12, columns: 12, channels: 3 } });
  await assert.rejects(loadEvaluationData(record(unequal), 'run', null), {
    code: 'E_DATA_SIZE',
    message: /16x16 in colour, the test images 12x12 in colour/,
  });
  const alike = { ...train, labels: new Uint8Array(30) };
  const one = idxFolder('one', alike, halfTest);
  await assert.rejects(loadEvaluationData(record(one, datasetDigest(alike)), 'run', null), {
    code: 'E_CLASSIFIER_DATA',
    message: /one class/,
  });
});

function classifierTask(where: string, change: Partial<ClassifierTask> = {}): ClassifierTask {
  const setting = { device: 'cpu', threads: 1 } as const;
  Object.assign(process.env, engineEnvironment(setting));
  return {
    engine: loadEngine({ ...setting, ...ENGINE_FOLDERS, engine: 'tensorflow' }),
    folder: where,
    config: { kind: 'lenet', shape: BOTH.train.shape, classes: 10 },
    recipe: { ...RECIPE, steps: 3 },
    data: BOTH.train,
    createdAt: 0,
    onStep: () => undefined,
    warn: (text) => assert.fail(text),
    ...change,
  };
}

test('a classifier is trained once, known by its data and recipe, and trained again where its file is damaged', async () => {
  const warnings: string[] = [];
  let steps = 0;
  const own = join(folder, 'store');
  const task = classifierTask(own, { onStep: () => steps++, warn: (text) => warnings.push(text) });
  const trained = await classifierFor(task);
  assert.equal(steps, 3);
  assert.deepEqual(await classifierFor(task), trained);
  assert.equal(steps, 3);
  const files = readdirSync(own, { recursive: true, encoding: 'utf8' });
  const file = join(own, files.find((name) => name.endsWith('ema.safetensors')) ?? '');
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] ^= 1;
  writeFileSync(file, bytes);
  assert.deepEqual(await classifierFor(task), trained);
  assert.equal(steps, 6);
  assert.match(warnings.join(), /E_CHECKPOINT_CORRUPT.*trained again/);
  assert.deepEqual(await classifierFor(task), trained);
  for (const other of [{ recipe: { ...task.recipe, seed: 1 } }, { data: { ...BOTH.train, digest: 'other' } }]) {
    await classifierFor({ ...task, ...other });
  }
  assert.equal(steps, 12);
});

test('where classifiers cannot be kept, it is said, and the same one is trained', async () => {
  const blocked = join(folder, 'file');
  writeFileSync(blocked, '');
  const warnings: string[] = [];
  const task = classifierTask(blocked, { warn: (text) => warnings.push(text) });
  assert.deepEqual(await classifierFor(task), await classifierFor(classifierTask(join(folder, 'kept'))));
  assert.match(warnings.join('\n'), /E_CHECKPOINT_WRITE: the classifier is not kept/);
});

test('other data, too few samples, and a file that cannot be written are told by their codes', async () => {
  const run = await makeRun(join(folder, 'refused'));
  const refused = async (code: string, change: Partial<EvaluateRequest>): Promise<void> => {
    await assert.rejects(evaluate(request(run, change)), { code });
  };
  await assert.rejects(loadEvaluationData({ config: CONFIG, dataDigest: '0'.repeat(64) }, 'run', null), {
    code: 'E_DATA_CHANGED',
  });
  await refused('E_EVALUATE_SAMPLES', { samples: 99 });
  await refused('E_EVALUATE_SAMPLES', { samples: 20_000 });
  await refused('E_SAMPLE_UNCONDITIONAL', { synthetic: 100 });
  await refused('E_RUN_MISSING', { run: join(folder, 'nowhere') });
  await refused('E_EVALUATE_WRITE', { out: join(run, 'run.json', 'x.json') });
});
