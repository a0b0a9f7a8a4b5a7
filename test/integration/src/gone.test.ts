/** What is shown of a run whose only worker stands still, then is gone: a real worker, and the coordinator's own answers. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadGiven } from '@lockstep/config';
import { systemClocks, type Status } from '@lockstep/coordinator';
import { openCoordinator } from '@lockstep/coordinator/open';
import { ENDLESS, PATIENT_MS, lockstep, pause, temporaryFolder } from './harness.js';

const WORKER = fileURLToPath(new URL('../../../apps/worker/dist/main.js', import.meta.url));
const POLL_MS = 50;
/** A run of which the rate does not fall stands still for good. */
const LIMIT = { timeout: 30 * 60_000 };
/** The rate needs two commits; by then the worker's speed is known, too. */
const STEPS_SEEN = 4;

test(
  'a worker that stands still slows the rate down; with the last worker rate and ETA are gone',
  LIMIT,
  async (context) => {
    const flags = { preset: 'tiny', out: join(temporaryFolder(context), 'run'), port: '0', steps: String(ENDLESS) };
    // So long that nobody counts as lost by silence before the test has looked.
    const server = await openCoordinator(
      loadGiven({ schema: 'run', env: {}, flags: { ...flags, heartbeatTimeoutMs: String(PATIENT_MS) } }),
      { clocks: systemClocks, freshRunId: 'test', report: () => undefined, warn: () => undefined },
    );
    const address = `http://127.0.0.1:${server.port}`;
    const worker = spawn(process.execPath, [WORKER, '--coordinator', address.replace('http', 'ws'), '--name', 'w'], {
      stdio: 'ignore',
    });
    context.after(async () => {
      worker.kill('SIGKILL');
      server.stop('the test is over');
      await server.finished;
    });
    const got = async (path: string): Promise<string> => (await fetch(address + path)).text();
    const until = async (holds: (status: Status) => boolean): Promise<Status> => {
      for (;;) {
        const status = JSON.parse(await got('/status')) as Status;
        if (holds(status)) return status;
        await pause(POLL_MS);
      }
    };
    const metric = async (name: string): Promise<number | null> => {
      const line = (await got('/metrics')).split('\n').find((each) => each.startsWith(`${name} `));
      return line === undefined ? null : Number(line.slice(name.length));
    };

    const running = await until(({ step, imagesPerSecond }) => step >= STEPS_SEEN && imagesPerSecond > 0);
    assert.ok((running.etaSeconds ?? 0) > 0);
    assert.ok(((await metric('lockstep_images_per_second')) ?? 0) > 0);
    assert.ok(((await metric('lockstep_worker_microbatch_seconds{worker="w"}')) ?? 0) > 0);

    worker.kill('SIGSTOP');
    const still = await until(({ imagesPerSecond }) => imagesPerSecond < running.imagesPerSecond / 5);
    assert.equal(still.workers.length, 1, 'nobody has called it lost');
    assert.ok(((await metric('lockstep_images_per_second')) ?? Infinity) < running.imagesPerSecond / 5);

    worker.kill('SIGKILL');
    const { imagesPerSecond, etaSeconds, loss, phase } = await until(({ workers }) => workers.length === 0);
    assert.deepEqual(
      { imagesPerSecond, etaSeconds, phase },
      { imagesPerSecond: 0, etaSeconds: null, phase: 'gathering' },
    );
    assert.equal(await metric('lockstep_images_per_second'), 0);
    assert.equal(await metric('lockstep_workers'), 0);
    assert.equal(await metric('lockstep_loss'), loss, 'the last step was what it was');
    for (const name of [
      'lockstep_ring_seconds',
      'lockstep_worker_microbatch_seconds{worker="w"}',
      'lockstep_straggler{worker="w"}',
    ])
      assert.equal(await metric(name), null, name);
    const { stdout } = await lockstep('status', address);
    assert.match(stdout, /^loss [\d.]+, 0 images\/s, ETA -, checkpoint -$/m);
  },
);
