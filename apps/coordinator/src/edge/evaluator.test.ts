import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodeEvaluation, type Evaluation } from '@lockstep/run';
import { EVALUATION as STORED } from '@lockstep/run/evaluation.fixture';
import { Evaluator, summaryOf } from '#src/edge/evaluator.js';
import { Metrics } from '#src/edge/metrics.js';
import { newState } from '../decide/state.fixture.js';

const EVALUATION: Evaluation = { ...STORED, samples: 400 };

/** What has not happened by then never will, on the slowest machine too. Milliseconds. */
const HANG_MS = 20 * 60_000;

type Told = { readonly evaluations: Evaluation[]; readonly failures: { code: string; message: string }[] };

function evaluator(context: TestContext, env: NodeJS.ProcessEnv): { evaluator: Evaluator; told: Told; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-evaluator-'));
  const told: Told = { evaluations: [], failures: [] };
  const made = new Evaluator(
    {
      everySteps: 200,
      directory: '/runs/one',
      data: '/moved',
      device: 'cpu',
      module: fileURLToPath(new URL('./evaluator.fixture.js', import.meta.url)),
      env: { ...process.env, FIXTURE_CALLS: join(folder, 'calls'), ...env },
    },
    {
      onEvaluation: (evaluation) => told.evaluations.push(evaluation),
      onFailure: (failure) => told.failures.push(failure),
    },
  );
  context.after(() => {
    made.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { evaluator: made, told, folder };
}

/** The processes that this one has started and that have not ended. */
function children(): number[] {
  const ids = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
  return ids === '' ? [] : ids.split(' ').map(Number);
}

function calls(folder: string): { pid: number; arguments: string[]; priority: number }[] {
  const read = (): string => {
    try {
      return readFileSync(join(folder, 'calls'), 'utf8');
    } catch {
      return '';
    }
  };
  return read()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { pid: number; arguments: string[]; priority: number });
}

async function until(holds: () => boolean): Promise<void> {
  const hangs = performance.now() + HANG_MS;
  while (!holds()) {
    assert.ok(performance.now() < hangs, 'it does not come to that');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('checkpoints of the right steps are evaluated, at the lowest priority, and the figures told', async (context) => {
  const { evaluator: made, told, folder } = evaluator(context, { FIXTURE_OUTPUT: encodeEvaluation(EVALUATION) });
  made.published(100);
  made.published(300);
  made.published(400);
  await until(() => told.evaluations.length === 1);
  assert.deepEqual(told, { evaluations: [EVALUATION], failures: [] });
  const [call, ...others] = calls(folder);
  assert.equal(others.length, 0);
  assert.equal(call.priority, 19);
  assert.deepEqual(call.arguments, [
    '/runs/one',
    '--json',
    '--samples=1000',
    '--workers=1',
    '--device=cpu',
    '--data=/moved',
  ]);
});

test('one runs at a time: of checkpoints published meanwhile, one more evaluation takes the newest', async (context) => {
  const gate = join(mkdtempSync(join(tmpdir(), 'lockstep-gate-')), 'open');
  context.after(() => rmSync(dirname(gate), { recursive: true }));
  const gated = evaluator(context, { FIXTURE_OUTPUT: encodeEvaluation(EVALUATION), FIXTURE_GATE: gate });
  for (const step of [200, 400, 600]) gated.evaluator.published(step);
  await until(() => calls(gated.folder).length === 1);
  assert.equal(gated.told.evaluations.length, 0);
  writeFileSync(gate, '');
  await until(() => gated.told.evaluations.length === 2);
  assert.equal(calls(gated.folder).length, 2);
});

test('a failure is told with its code and what the process said last, and the next one is tried', async (context) => {
  const failing = evaluator(context, { FIXTURE_STATUS: '1' });
  failing.evaluator.published(200);
  await until(() => failing.told.failures.length === 1);
  assert.equal(failing.told.failures[0].code, 'E_EVALUATION_FAILED');
  assert.match(failing.told.failures[0].message, /status 1, saying: E_DATA_MISSING: cannot go on; /);
  failing.evaluator.published(400);
  await until(() => failing.told.failures.length === 2);
  const broken = evaluator(context, { FIXTURE_OUTPUT: '{}' });
  broken.evaluator.published(200);
  await until(() => broken.told.failures.length === 1);
  assert.equal(broken.told.failures[0].code, 'E_EVALUATION_FORMAT');
});

test('closed, it ends the process and says nothing more', async (context) => {
  const { evaluator: made, told, folder } = evaluator(context, { FIXTURE_GATE: '/never' });
  made.published(200);
  await until(() => calls(folder).length === 1);
  const [{ pid }] = calls(folder);
  // Those of the tests before have ended.
  await until(() => children().join() === String(pid));
  made.close();
  made.published(400);
  assert.ok(
    children().every((child) => child === pid),
    'no other is started',
  );
  await until(() => children().length === 0);
  // Its end is told in the turns of the event loop that follow.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, { evaluations: [], failures: [] });
});

test('every figure becomes a metric, with its floor and ceiling as labels', async () => {
  const metrics = new Metrics(() => ({ state: newState(), imagesPerSecond: 0 }));
  metrics.evaluated(EVALUATION);
  const text = await metrics.registry.metrics();
  for (const line of [
    'lockstep_eval_step 400',
    'lockstep_eval_frechet_distance{of="samples"} 68.7',
    'lockstep_eval_frechet_distance{of="floor"} 5.97',
    'lockstep_eval_frechet_distance{of="ceiling"} 949',
    'lockstep_eval_recall{of="ceiling"} 0.01',
    'lockstep_eval_coverage{of="samples"} 0.45',
    'lockstep_eval_class_deviation{of="samples"} 0.25',
    'lockstep_eval_training_distance{of="samples"} 8',
    'lockstep_eval_noise_error{of="heldOut",quarter="2"} 0.05',
    'lockstep_eval_noise_error{of="training",quarter="4"} 0.005',
    'lockstep_eval_failures_total 0',
  ]) {
    assert.ok(text.split('\n').includes(line), line);
  }
});

test('the summary has the figures of samples, and of the distance its floor and ceiling', () => {
  assert.deepEqual(summaryOf(EVALUATION), {
    step: 400,
    samples: 400,
    frechetDistance: 68.7,
    frechetFloor: 5.97,
    frechetCeiling: 949,
    precision: 0.6,
    recall: 0.5,
    classDeviation: 0.25,
  });
});
