/** What is shown of a run whose only worker stands still, then is gone: a real worker, and the coordinator's own answers. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { on } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Status } from '@lockstep/coordinator';
import { ENDLESS, PATIENT_MS, lockstep, pause, temporaryFolder } from './harness.js';

const COORDINATOR = fileURLToPath(new URL('../../../apps/coordinator/dist/main.js', import.meta.url));
const WORKER = fileURLToPath(new URL('../../../apps/worker/dist/main.js', import.meta.url));
const POLL_MS = 50;
/** A run of which the rate does not fall stands still for good. */
const LIMIT = { timeout: 30 * 60_000 };
/** The rate needs two commits; by then the worker's speed is known, too. */
const STEPS_SEEN = 4;

/** Where the coordinator listens, which it says; the rest of its words is let go. */
async function portOf(said: Readable): Promise<string> {
  let text = '';
  for await (const chunk of on(said.setEncoding('utf8'), 'data')) {
    text += String(chunk[0]);
    const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(text) ?? [];
    if (port === undefined) continue;
    said.resume();
    return port;
  }
  throw new Error(`it did not listen:\n${text}`);
}

test(
  'a worker that stands still slows the rate down; with the last worker rate and ETA are gone',
  LIMIT,
  async (context) => {
    // So long that nobody counts as lost by silence before the test has looked. A coordinator that is told to stop would wait as
    // long for the newest state to come back, so this one is killed.
    const run = ['--preset', 'tiny', '--steps', String(ENDLESS), '--heartbeat-timeout-ms', String(PATIENT_MS)];
    const place = ['--out', join(temporaryFolder(context), 'run'), '--port', '0'];
    const coordinator = spawn(process.execPath, [COORDINATOR, ...run, ...place], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    context.after(() => coordinator.kill('SIGKILL'));
    const address = `http://127.0.0.1:${await portOf(coordinator.stdout)}`;
    const worker = spawn(process.execPath, [WORKER, '--coordinator', address.replace('http', 'ws'), '--name', 'w'], {
      stdio: 'ignore',
    });
    context.after(() => worker.kill('SIGKILL'));
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
    assert.match(stdout, /^loss [\d.]+, 0 samples\/s, ETA -, checkpoint -$/m);
  },
);
