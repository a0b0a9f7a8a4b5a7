/** What becomes of an evaluation beside a training: a real worker's checkpoints, and a process that tells figures at once. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { encodeEvaluation, type Evaluation } from '@lockstep/run';
import { EVALUATION as STORED } from '@lockstep/run/evaluation.fixture';
import { loadGiven } from '@lockstep/config';
import { systemClocks } from '@lockstep/coordinator';
import { openCoordinator } from '@lockstep/coordinator/open';
import { ENDLESS, PATIENT_MS, pause } from './harness.js';

const WORKER = fileURLToPath(new URL('../../../apps/worker/dist/main.js', import.meta.url));
const POLL_MS = 50;
const EVALUATION: Evaluation = {
  ...STORED,
  step: 2,
  samples: 400,
  frechetDistance: { samples: 68.75, floor: 5.5, ceiling: 949 },
};

test(
  "an evaluation of a running job's checkpoint is in /status, in /metrics and told, and the training goes on",
  { timeout: 30 * 60_000 },
  async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'lockstep-evaluation-'));
    const module = join(folder, 'evaluate.mjs');
    const calls = join(folder, 'calls');
    writeFileSync(
      module,
      `import { appendFileSync } from 'node:fs';
appendFileSync(${JSON.stringify(calls)}, process.argv[2] + '\\n');
process.stdout.write(${JSON.stringify(encodeEvaluation(EVALUATION))});`,
    );
    const out = join(folder, 'run');
    const often = { checkpointEvery: '1', evaluateEvery: '2', heartbeatTimeoutMs: String(PATIENT_MS) };
    const flags = { preset: 'tiny', out, port: '0', steps: String(ENDLESS), ...often };
    const notes: string[] = [];
    const server = await openCoordinator(loadGiven({ schema: 'run', env: {}, flags }), {
      clocks: systemClocks,
      freshRunId: 'test',
      report: ({ note }) => notes.push(note.note),
      warn: (text) => notes.push(text),
      evaluator: { module, env: process.env },
    });
    const got = async (path: string): Promise<string> => (await fetch(`http://127.0.0.1:${server.port}${path}`)).text();
    const status = async () => JSON.parse(await got('/status')) as { step: number; evaluation: object | null };
    assert.equal((await status()).evaluation, null);
    const worker = spawn(process.execPath, [WORKER, '--coordinator', `ws://127.0.0.1:${server.port}`, '--name', 'w'], {
      stdio: 'ignore',
    });
    context.after(async () => {
      server.stop('the test is over');
      await server.finished;
      worker.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    });
    let seen = await status();
    for (; seen.evaluation === null; seen = await status()) await pause(POLL_MS);
    assert.deepEqual(seen.evaluation, {
      step: 2,
      samples: 400,
      frechetDistance: 68.75,
      frechetFloor: 5.5,
      frechetCeiling: 949,
      precision: 0.6,
      recall: 0.5,
      classDeviation: 0.25,
    });
    assert.ok(notes.includes('evaluated'));
    assert.match(await got('/metrics'), /^lockstep_eval_frechet_distance\{of="samples"\} 68\.75$/m);
    assert.match(await got('/metrics'), /^lockstep_eval_frechet_distance\{of="floor"\} 5\.5$/m);
    assert.ok(readFileSync(calls, 'utf8').startsWith(`${out}\n`));
    const { step } = seen;
    while ((await status()).step <= step) await pause(POLL_MS);
  },
);
