import assert from 'node:assert/strict';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { open as openLmdb } from 'lmdb';
import { z } from 'zod';
import type { Arithmetic } from '@lockstep/base';
import {
  checkpointFolder,
  DirectoryStore,
  Ledger,
  openRun,
  runPaths,
  stateDigest,
  type LedgerEntry,
  type TrainingState,
} from '@lockstep/run';
import {
  initialTrainingState,
  loadMnist,
  microbatchIndices,
  parameterTable,
  PRESETS,
  samplesDigest,
} from '@lockstep/diffusion';
import { lockstep } from '../command.fixture.js';
import { describe, verifyDirectory } from '#src/commands/verify-command.js';
import { epochsOf, SampleCounter } from '#src/verify/verify-samples.js';
import { verifyRun, type Check, type Verification } from '#src/verify/verify.js';

const SEED = 5;
const DATA = loadMnist('train');
const RECIPE = PRESETS.tiny;
const { globalBatch, microbatchSize } = RECIPE;
const MICROBATCHES = globalBatch / microbatchSize;
const SEED_STATE = initialTrainingState(RECIPE, SEED);

/** State k of a pretended run: state 0 with another first weight. */
function stateAt(step: number): TrainingState {
  const weights = Float32Array.from(SEED_STATE.weights);
  weights[0] += step;
  return { step, ...SEED_STATE, weights };
}

function samplesOf(step: number): string[] {
  return Array.from({ length: MICROBATCHES }, (_, index) =>
    samplesDigest(microbatchIndices(SEED, DATA.count, globalBatch, microbatchSize, step, index)),
  );
}

function entryAt(step: number, changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    step,
    generation: 1 + Math.floor(step / 4),
    plan: Array.from({ length: MICROBATCHES }, (_, index) => (index === 0 ? 'worker-0' : 'worker-1')),
    losses: Array.from({ length: MICROBATCHES }, () => 0.5),
    samples: samplesOf(step),
    skipped: false,
    digest: stateDigest(stateAt(step + 1), 1),
    at: 1_700_000_000_000 + step,
    ...changes,
  };
}

type Change = (step: number) => Partial<LedgerEntry>;

/** A run directory as a coordinator leaves it, after `steps` steps. */
async function makeRun(
  context: TestContext,
  steps: number,
  {
    change = () => ({}),
    checkpoints = [],
    arithmetic = 1,
  }: { change?: Change; checkpoints?: readonly number[]; arithmetic?: Arithmetic } = {},
): Promise<string> {
  const root = await fs.mkdtemp(join(tmpdir(), 'lockstep-verify-'));
  context.after(() => fs.rm(root, { recursive: true, force: true }));
  const { paths } = await openRun(root, {
    runId: 'run-a',
    seed: SEED,
    dataDigest: DATA.digest,
    config: z.json().parse({ preset: 'tiny', data: 'mnist', arithmetic, recipe: RECIPE }),
    createdAt: 1,
  });
  const ledger = await Ledger.open(paths.ledger);
  for (let step = 0; step < steps; step++) await ledger.append(entryAt(step, change(step)));
  await ledger.close();
  const store = new DirectoryStore(paths.checkpoints);
  for (const step of checkpoints) {
    await store.publish({
      runId: 'run-a',
      state: stateAt(step),
      table: parameterTable(RECIPE.model),
      model: null,
      arithmetic,
      createdAt: 1,
    });
  }
  return root;
}

function check(verification: Verification, name: Check['name']): Check {
  const found = verification.checks.find((one) => one.name === name);
  assert.ok(found, name);
  return found;
}

/** Results of all checks in their order: chain, samples, skipped, checkpoints. */
const results = ({ checks }: Verification): string[] => checks.map(({ result }) => result);

test('an undisturbed run is verified, and says who did what', async (context) => {
  const verification = await verifyDirectory(await makeRun(context, 6, { checkpoints: [0, 4, 6] }));
  assert.deepEqual(results(verification), ['ok', 'ok', 'ok', 'ok']);
  assert.equal(verification.ok, true);
  assert.equal(verification.steps, 6);
  assert.equal(verification.generations, 2);
  assert.deepEqual(verification.microbatches, [
    { worker: 'worker-1', count: 18 },
    { worker: 'worker-0', count: 6 },
  ]);
  assert.deepEqual(verification.epochs, [
    {
      epoch: 0,
      used: 6 * globalBatch,
      once: 6 * globalBatch,
      repeated: 0,
      never: DATA.count - 6 * globalBatch,
      inSkippedSteps: 0,
      complete: false,
    },
  ]);
  const text = describe(verification).join('\n');
  assert.match(text, /epoch 0: 96 samples used, 96 exactly once, .* the epoch is not over/);
  assert.match(text, /reproducible: yes/);
  assert.match(text, /3 of 3 checkpoints are whole/);
  assert.match(text, /\nverified$/);
});

test('a run without a step or a checkpoint is verified', async (context) => {
  const verification = await verifyDirectory(await makeRun(context, 0));
  assert.equal(verification.ok, true);
  assert.deepEqual(verification.epochs, []);
});

test('a step whose samples are those of another step is named with its microbatches, and its samples count as unused', async (context) => {
  const change: Change = (step) => (step === 3 ? { samples: samplesOf(2) } : {});
  const verification = await verifyDirectory(await makeRun(context, 5, { change }));
  assert.deepEqual(results(verification), ['ok', 'failed', 'ok', 'ok']);
  const { code, faults, faultCount } = check(verification, 'samples');
  assert.equal(code, 'E_VERIFY_SAMPLES');
  assert.equal(faultCount, MICROBATCHES);
  assert.deepEqual(
    faults.map(({ step, microbatch }) => [step, microbatch]),
    [0, 1, 2, 3].map((index) => [3, index]),
  );
  assert.equal(verification.epochs[0].used, 4 * globalBatch);
  assert.match(
    describe(verification).join('\n'),
    /samples: FAILED \(E_VERIFY_SAMPLES\).*\n {2}E_VERIFY_SAMPLES: step 3, microbatch 0: /,
  );
});

test('a step with too few microbatches is named', async (context) => {
  const change: Change = (step) => (step === 1 ? { plan: ['w'], losses: [1], samples: samplesOf(1).slice(0, 1) } : {});
  const { faults, faultCount } = check(await verifyDirectory(await makeRun(context, 2, { change })), 'samples');
  assert.equal(faultCount, 1);
  assert.match(faults[0].reason, /1 microbatches, the recipe says 4/);
});

test('of very many faults the first are listed and all are counted', async (context) => {
  const change: Change = () => ({ samples: samplesOf(99) });
  const verification = await verifyDirectory(await makeRun(context, 8, { change }));
  const { faults, faultCount } = check(verification, 'samples');
  assert.deepEqual([faults.length, faultCount], [20, 8 * MICROBATCHES]);
  assert.match(describe(verification).join('\n'), /and 12 more/);
});

test('an entry that was changed on disk breaks the chain, and nothing else is claimed', async (context) => {
  const root = await makeRun(context, 5);
  const file = join(runPaths(root).ledger, 'ledger.mdb');
  const bytes = await fs.readFile(file);
  const [old, forged] = ['"at":1700000000002', '"at":1700000000009'];
  let changed = 0;
  for (let at = bytes.indexOf(old); at >= 0; at = bytes.indexOf(old, at)) changed += bytes.write(forged, at);
  assert.ok(changed > 0);
  await fs.writeFile(file, bytes);
  const verification = await verifyDirectory(root);
  assert.deepEqual(results(verification), ['failed', 'unchecked', 'unchecked', 'unchecked']);
  assert.equal(check(verification, 'chain').code, 'E_VERIFY_CHAIN');
  assert.match(check(verification, 'chain').faults[0].reason, /chain breaks at step 2/);
  assert.match(describe(verification).join('\n'), /chain: FAILED .*samples: not checked.*\nNOT VERIFIED$/s);
});

test('an entry that is missing is found', async (context) => {
  const root = await makeRun(context, 5);
  const database = openLmdb<unknown, number>({
    path: join(runPaths(root).ledger, 'ledger.mdb'),
    encoding: 'json',
    overlappingSync: false,
  });
  await database.remove(3);
  await database.close();
  const verification = await verifyDirectory(root);
  assert.match(check(verification, 'chain').faults[0].reason, /step 3 is missing/);
});

test('a flipped byte in a checkpoint is named with its code, and the other checkpoints are still checked', async (context) => {
  const root = await makeRun(context, 6, { checkpoints: [4, 6] });
  const file = join(runPaths(root).checkpoints, checkpointFolder(4), 'ema.safetensors');
  const bytes = await fs.readFile(file);
  bytes[bytes.length - 1] ^= 1;
  await fs.writeFile(file, bytes);
  const verification = await verifyDirectory(root);
  assert.deepEqual(results(verification), ['ok', 'ok', 'ok', 'failed']);
  const { code, summary, faults } = check(verification, 'checkpoints');
  assert.equal(code, 'E_VERIFY_CHECKPOINT');
  assert.match(summary, /1 of 2/);
  assert.deepEqual(
    faults.map((fault) => [fault.code, fault.step]),
    [['E_CHECKPOINT_CORRUPT', 4]],
  );
});

test('a whole checkpoint that is not the state of the ledger, or beyond it, is named', async (context) => {
  const change: Change = (step) => (step === 3 ? { digest: 'd'.repeat(64) } : {});
  const verification = await verifyDirectory(await makeRun(context, 5, { change, checkpoints: [4, 5, 7] }));
  assert.deepEqual(
    check(verification, 'checkpoints').faults.map(({ code, step }) => [code, step]),
    [
      ['E_VERIFY_CHECKPOINT', 4],
      ['E_VERIFY_CHECKPOINT', 7],
    ],
  );
});

test('a skipped step must leave the state as it was, the first step too', async (context) => {
  const skipped = (digest: string): Partial<LedgerEntry> => ({
    skipped: true,
    losses: [null, 1, 1, 1],
    digest,
  });
  const right: Change = (step) => {
    if (step === 0) return skipped(stateDigest(SEED_STATE, 1));
    return step === 2 ? skipped(entryAt(1).digest) : {};
  };
  const good = await verifyDirectory(await makeRun(context, 4, { change: right }));
  assert.equal(good.ok, true);
  assert.deepEqual(good.skippedSteps, [0, 2]);
  assert.equal(good.epochs[0].inSkippedSteps, 2 * globalBatch);
  assert.match(describe(good).join('\n'), /skipped as not finite: step 0, step 2/);

  const wrong: Change = (step) => (step === 0 || step === 2 ? skipped('e'.repeat(64)) : {});
  const { code, faults } = check(await verifyDirectory(await makeRun(context, 4, { change: wrong })), 'skipped');
  assert.equal(code, 'E_VERIFY_SKIPPED');
  assert.deepEqual(
    faults.map(({ step }) => step),
    [0, 2],
  );
});

test("state 0 and checkpoints are compared in the run's arithmetic", async (context) => {
  for (const [arithmetic, other] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const skipped =
      (of: Arithmetic): Change =>
      (step) =>
        step === 0
          ? { skipped: true, losses: [null, 1, 1, 1], digest: stateDigest(SEED_STATE, of) }
          : { digest: stateDigest(stateAt(step + 1), of) };
    const of = { arithmetic, checkpoints: [2] };
    const right = await verifyDirectory(await makeRun(context, 2, { ...of, change: skipped(arithmetic) }));
    assert.equal(right.ok, true);
    const wrong = await verifyDirectory(await makeRun(context, 2, { ...of, change: skipped(other) }));
    assert.deepEqual(results(wrong), ['ok', 'ok', 'failed', 'failed']);
  }
});

test('admitted workers and branches make the run not reproducible, which is no failure', async (context) => {
  const root = await makeRun(context, 4);
  const ledger = await Ledger.open(runPaths(root).ledger);
  await ledger.admit({ step: 3, worker: 'worker-7', probe: 'b'.repeat(64), engine: { device: 'cuda' } });
  await ledger.branch(2, 'the newest state was lost', 9);
  await ledger.append(entryAt(2, { digest: 'f'.repeat(64) }));
  await ledger.close();
  const verification = await verifyDirectory(root);
  assert.equal(verification.ok, true);
  assert.equal(verification.notReproducibleFrom, 2);
  const text = describe(verification).join('\n');
  assert.match(text, /reproducible: no, from step 2 on; .*worker-7 from step 3/);
  assert.match(text, /2 from step 2 on \(the newest state was lost\)/);
});

test('every epoch is counted, with the complete and the last one told apart', async (context) => {
  // 10 samples, 16 a step: an epoch ends inside a step and inside a microbatch.
  const order = { seed: SEED, count: 10, globalBatch, microbatchSize };
  const change: Change = (step) => ({
    samples: Array.from({ length: MICROBATCHES }, (_, index) =>
      samplesDigest(microbatchIndices(SEED, 10, globalBatch, microbatchSize, step, index)),
    ),
  });
  const root = await makeRun(context, 2, { change });
  const ledger = await Ledger.openReader(runPaths(root).ledger);
  context.after(() => ledger.close());
  const verification = await verifyRun({
    record: { runId: 'run-a', seed: SEED, dataDigest: '', config: null, createdAt: 1 },
    order,
    ledger,
    store: new DirectoryStore(runPaths(root).checkpoints),
    start: null,
    startDigest: () => null,
  });
  assert.equal(verification.ok, true);
  const unused = { repeated: 0, inSkippedSteps: 0 };
  assert.deepEqual(verification.epochs, [
    { epoch: 0, through: 2, used: 10, once: 10, never: 0, complete: true, ...unused },
    { epoch: 3, used: 2, once: 2, never: 8, complete: false, ...unused },
  ]);
  const text = describe(verification).join('\n');
  assert.match(
    text,
    /\nepochs 0 to 2: each of the 10 samples used exactly once\nepoch 3: 2 samples used, 2 exactly once, .*not over/,
  );
});

test('epochs that are alike share a line, however many they are, and one that differs has its own', () => {
  const order = { seed: SEED, count: 1, globalBatch, microbatchSize };
  const samplesAt = (step: number): string[] =>
    Array.from({ length: MICROBATCHES }, (_, index) =>
      samplesDigest(microbatchIndices(SEED, 1, globalBatch, microbatchSize, step, index)),
    );
  const counter = new SampleCounter(order);
  const steps = 60;
  for (let step = 0; step < steps; step++) {
    // Of step 40 the first microbatch is none of this run, and step 20 was skipped.
    const samples = samplesAt(step).map((name, index) => (step === 40 && index === 0 ? 'wrong' : name));
    const faults = counter.add(entryAt(step, { samples, skipped: step === 20 }));
    assert.equal(faults.length, step === 40 ? 1 : 0);
    assert.ok(counter.epochs.length <= 7);
  }
  const epochs = counter.finish();
  const [one, skipped] = [globalBatch, microbatchSize];
  assert.deepEqual(
    epochs.map((use) => [epochsOf(use), use.once, use.inSkippedSteps]),
    [
      [`epochs 0 to ${20 * one - 1}`, 1, 0],
      [`epochs ${20 * one} to ${21 * one - 1}`, 1, 1],
      [`epochs ${21 * one} to ${40 * one - 1}`, 1, 0],
      [`epochs ${40 * one + skipped} to ${60 * one - 1}`, 1, 0],
    ],
  );
});

test('what cannot be verified at all has its own error', async (context) => {
  const root = await makeRun(context, 1);
  await assert.rejects(verifyDirectory(join(root, 'nowhere')), { code: 'E_RUN_MISSING' });
  const file = join(root, 'run.json');
  const whole = await fs.readFile(file, 'utf8');
  await fs.writeFile(file, whole.replace(DATA.digest, '0'.repeat(64)));
  await assert.rejects(verifyDirectory(root), { code: 'E_DATA_CHANGED' });
  await fs.writeFile(file, whole.replace(`"microbatchSize": ${microbatchSize}`, '"microbatchSize": 5'));
  await assert.rejects(verifyDirectory(root), { code: 'E_RUN_CORRUPT' });
  await fs.writeFile(file, whole);
  await fs.rm(runPaths(root).ledger, { recursive: true });
  await assert.rejects(verifyDirectory(root), { code: 'E_LEDGER_MISSING' });
});

test('the command ends with 0 if all is proved, 1 if not, and prints lines or one JSON object', async (context) => {
  const change: Change = (step) => (step === 1 ? { samples: samplesOf(2) } : {});
  const [good, bad] = [await makeRun(context, 2), await makeRun(context, 2, { change })];
  const proved = await lockstep('verify', good);
  assert.deepEqual([proved.status, proved.stderr], [0, '']);
  assert.match(proved.stdout, /^chain: ok, .*\nverified\n$/s);
  const failed = await lockstep('verify', bad, '--json');
  assert.equal(failed.status, 1);
  const printed = z
    .object({ ok: z.boolean(), checks: z.array(z.object({ code: z.string().nullable() })) })
    .parse(JSON.parse(failed.stdout));
  assert.equal(printed.ok, false);
  assert.deepEqual(
    printed.checks.map(({ code }) => code),
    [null, 'E_VERIFY_SAMPLES', null, null],
  );
});
