/** Tasks of one's own: the examples, whose weights do not depend on who did the work, and mistakes, which end the run and say what is wrong. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Cli, digestOf, ENDLESS, lockstep, PATIENT_MS, temporaryFolder, untilStep, type Ended } from './harness.js';
import { stopped } from './undisturbed.js';

const EXAMPLES = fileURLToPath(new URL('../../../examples', import.meta.url));
const GUIDE = new URL('../../../docs/guide/your-own-task.md', import.meta.url);

/** `up` with a task, on any free port. */
async function train(task: string, out: string, workers: number, ...more: readonly string[]): Promise<Ended> {
  const many = ['--workers', String(workers), '--min-workers', String(workers), '--seed', '3', '--port', '0'];
  const patience = ['--heartbeat-timeout-ms', String(PATIENT_MS)];
  return lockstep('up', '--task', task, '--out', out, ...many, ...patience, ...more);
}

describe('the examples', () => {
  const examples = [
    { name: 'mnist-classifier', options: ['steps=6', 'width=2'], figure: 'accuracy', tried: /\baccuracy\b/ },
    {
      name: 'char-lm',
      options: ['steps=6', 'context=16', 'width=16', 'layers=1', 'heads=2'],
      figure: 'right',
      tried: /\bright\b[^]*The first [^]{400}/,
    },
  ];
  for (const { name, options, figure, tried } of examples)
    it(`${name} comes to the same bits on one worker and on three, and can be verified, replayed and tried`, async (test) => {
      const folder = temporaryFolder(test);
      const task = join(EXAMPLES, name, 'task.mjs');
      const [one, three] = [join(folder, 'one'), join(folder, 'three')];
      const flags = options.flatMap((option) => ['--option', option]);
      for (const [out, workers] of [[one, 1] as const, [three, 3] as const]) {
        const { status, stdout, stderr } = await train(task, out, workers, ...flags);
        assert.equal(status, 0, stdout + stderr);
        assert.match(stdout, new RegExp(`^step 6/6 loss \\d\\S* ${figure} \\d\\.\\d{4} `, 'm'));
      }
      assert.equal(await digestOf(one), await digestOf(three));
      const verified = await lockstep('verify', three);
      assert.equal(verified.status, 0, verified.stdout + verified.stderr);
      const replayed = await lockstep('replay', three, '--step', '5', '--microbatch', '1');
      assert.match(replayed.stdout, /as in the ledger[^]*loss: \d/, replayed.stderr);
      const made = await lockstep('try', three, '--prompt', 'The first ', '--seed', '1');
      assert.match(made.stdout, tried, made.stderr);
      const drawn = await lockstep('sample', three, '--out', join(folder, 'x.png'));
      assert.notEqual(drawn.status, 0);
      assert.match(drawn.stderr, /E_TASK_CANNOT: .*use lockstep try/);
    });
});

describe('a bad task', () => {
  /** A line, with `replaced` in place of parts of it. */
  const line = (replaced: string): string => `
    export default { name: 'line', create: () => ({
      steps: 3, globalBatch: 4, microbatchSize: 2,
      parameters: [{ name: 'slope', shape: [1], init: 'ones' }, { name: 'height', shape: [1], init: 'zeros' }],
      optimizer: { learningRate: 0.1 },
      open: () => ({
        count: 8,
        inputs: [{ name: 'x', shape: [], dtype: 'float32' }],
        batch: (indices) => [Float32Array.from(indices)],
      }),
      loss: ({ weights, inputs }) => ({ loss: inputs.x.mul(weights.slope).add(weights.height).square().mean() }),
      ${replaced}
    }) };`;

  async function ends(test: TestContext, code: string, said: RegExp): Promise<void> {
    const folder = temporaryFolder(test);
    const task = join(folder, 'task.mjs');
    writeFileSync(task, code);
    const { status, stdout, stderr } = await train(task, join(folder, 'run'), 1);
    assert.notEqual(status, 0, 'it must fail');
    assert.match(stdout + stderr, said);
  }

  it('whose file is no task ends at once', (test) => ends(test, 'export const task = 1;', /E_TASK_MODULE/));

  it('whose file cannot be read as JavaScript ends at once', (test) => ends(test, 'export default {', /E_TASK_MODULE/));

  it('whose batch has the wrong length ends before a worker starts', (test) =>
    ends(
      test,
      line(
        `open: () => ({ count: 8, inputs: [{ name: 'x', shape: [], dtype: 'float32' }], batch: () => [new Float32Array(3)] }),`,
      ),
      /E_TASK_BATCH.*a Float32Array of 3 for x: return a Float32Array of 2/,
    ));

  it('whose loss leaves out a parameter ends with what its worker says', (test) =>
    ends(
      test,
      line('loss: ({ weights }) => ({ loss: weights.slope.mean() }),'),
      /E_TASK_LOSS.*does not depend on height/,
    ));

  it('whose loss is NaN for the first weights ends', (test) =>
    ends(
      test,
      line(
        'loss: ({ weights, inputs }) => ({ loss: inputs.x.mul(weights.slope).add(weights.height).sub(100).log().mean() }),',
      ),
      /E_TASK_LOSS.*not a finite number/,
    ));

  it('that trains is trained', async (test) => {
    const folder = temporaryFolder(test);
    const task = join(folder, 'task.mjs');
    writeFileSync(task, line(''));
    const { status, stdout, stderr } = await train(task, join(folder, 'run'), 1);
    assert.equal(status, 0, stdout + stderr);
  });
});

describe('the guide', () => {
  it('has a task that is trained as it stands there, and a run of it goes on where its folder is moved', async (test) => {
    const folder = temporaryFolder(test);
    const code =
      /```js\n(export default \{[^]*?\n)```/.exec(readFileSync(GUIDE, 'utf8'))?.[1] ?? assert.fail('no code');
    const [here, there, out] = ['here', 'there', 'run'].map((name) => join(folder, name));
    mkdirSync(here);
    writeFileSync(join(here, 'parabola.mjs'), code);
    const up = ['up', '--out', out, '--workers', '1', '--port', '0'];
    const chosen = ['--steps', String(ENDLESS), '--option', 'learningRate=0.05'];
    const began = new Cli([...up, '--task', join(here, 'parabola.mjs'), ...chosen]);
    await untilStep(began, 3);
    const { step } = await stopped(began, out);
    renameSync(here, there);
    assert.match((await lockstep(...up, '--resume')).stderr, /E_TASK_MISSING/);
    const resumed = new Cli([...up, '--resume', '--task', join(there, 'parabola.mjs')]);
    await untilStep(resumed, step + 3);
    await stopped(resumed, out);
  });

  it('says rightly that a task of one does not take what only diffusion has', async () => {
    const task = join(EXAMPLES, 'char-lm', 'task.mjs');
    const { status, stderr } = await lockstep('up', '--task', task, '--preset', 'tiny', '--out', '/no/such/run');
    assert.equal(status, 2);
    assert.match(stderr, /E_CONFIG_CONFLICT: .*preset is "tiny" \(from flag --preset\) and task is /);
  });
});
