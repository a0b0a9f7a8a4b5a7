import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as fs from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { writeCoordinatorAddress } from '@lockstep/run';
import type { Status } from '@lockstep/coordinator';
import { CliError } from '#src/errors.js';
import { watch, type Seen } from '#src/commands/status-command.js';
import { askStatus, coordinatorAddress, describeStatus, firstScreen } from '#src/status/status.js';

const STATUS: Status = {
  run: 'run-a',
  phase: 'computing',
  step: 12,
  steps: 1000,
  generation: 3,
  workers: [
    {
      id: 'worker-0',
      host: '10.0.0.1',
      inRing: true,
      step: 12,
      millisecondsPerMicrobatch: 41.25,
      share: 3,
      cpuShare: 0.98,
      straggler: null,
    },
    {
      id: 'worker-1',
      host: '10.0.0.2',
      inRing: true,
      step: 12,
      millisecondsPerMicrobatch: 164,
      share: 1,
      cpuShare: 0.25,
      straggler: 'it needs 4.0 times as long as the others, and gets 25 % of a processor',
    },
    {
      id: 'worker-2',
      host: '10.0.0.3',
      inRing: false,
      step: null,
      millisecondsPerMicrobatch: null,
      share: 0,
      cpuShare: null,
      straggler: null,
    },
  ],
  loss: 0.12345,
  figures: {},
  imagesPerSecond: 210.4,
  etaSeconds: 75,
  checkpoint: 10,
  reproducible: true,
  evaluation: null,
};

/** A server on a port of its own; returns its address. */
async function serve(context: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

const answering =
  (value: unknown): RequestListener =>
  (request, response) => {
    response.statusCode = request.url === '/status' ? 200 : 404;
    response.end(typeof value === 'string' ? value : JSON.stringify(value));
  };

test("a coordinator's status is a table with each straggler's reason", async (context) => {
  const { status } = await askStatus(await serve(context, answering(STATUS)));
  assert.deepEqual(describeStatus(status), [
    'run run-a',
    'step 12 of 1000, computing, generation 3',
    'loss 0.1235, 210 samples/s, ETA 1m15s, checkpoint of step 10',
    'bits reproducible: yes',
    '',
    'worker    host      state  ring  share  ms/microbatch  cpu  note',
    'worker-0  10.0.0.1  12     yes   3      41.3           98%',
    'worker-1  10.0.0.2  12     yes   1      164.0          25%  straggler',
    'worker-2  10.0.0.3  -      no    0      -              -',
    'E_STRAGGLER: worker-1 is a straggler: it needs 4.0 times as long as the others, and gets 25 % of a processor',
  ]);
});

test('the figures of a task stand beside its loss', async (context) => {
  const { status } = await askStatus(await serve(context, answering({ ...STATUS, figures: { accuracy: 0.5 } })));
  assert.match(describeStatus(status)[2], /^loss 0\.1235, accuracy 0\.5000, 210 samples\/s, /);
});

test('the last evaluation is a line, its distance beside those of real images and of noise', async (context) => {
  const evaluation = {
    step: 400,
    samples: 1000,
    frechetDistance: 68.71,
    frechetFloor: 5.97,
    frechetCeiling: 949,
    precision: 0.61,
    recall: 0.52,
    classDeviation: 0.25,
  };
  const { status } = await askStatus(await serve(context, answering({ ...STATUS, evaluation })));
  assert.equal(
    describeStatus(status)[4],
    'samples of step 400 (1000): LeNet-FD 68.7 (real images 6.0, noise 949), precision 0.61, recall 0.52, classes within 25 % of equal',
  );
});

test('a run that has just begun has dashes and no worker', () => {
  const lines = describeStatus({
    ...STATUS,
    workers: [],
    loss: null,
    etaSeconds: null,
    checkpoint: null,
    reproducible: false,
  });
  assert.match(lines[2], /^loss -, .*ETA -, checkpoint -$/);
  assert.match(lines[3], /no, workers of several numerics classes/);
  assert.equal(lines.at(-1), 'no worker is connected');
});

test('keys that a later version adds are no error, and the text is given on as it came', async (context) => {
  const text = `${JSON.stringify({ ...STATUS, more: 1 })}\n`;
  const answer = await askStatus(await serve(context, answering(text)));
  assert.equal(answer.text, text);
  assert.equal(answer.status.step, 12);
});

test('where nothing answers, the error says what to do', async () => {
  // A port that was free a moment ago, at an address where nobody else looks for one.
  const server = createServer().listen(0, '127.0.0.79');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  server.close();
  await once(server, 'close');
  const error = await askStatus(`http://127.0.0.79:${address.port}`).catch((reason: unknown) => reason);
  assert.ok(error instanceof Error && 'code' in error);
  assert.equal(error.code, 'E_STATUS_UNREACHABLE');
  assert.match(error.message, /ECONNREFUSED/);
  assert.match(error.message, /lockstep up --resume/);
});

test('a connection that is cut in the middle of the answer counts as no answer', async (context) => {
  const address = await serve(context, (_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{');
    setImmediate(() => response.destroy());
  });
  await assert.rejects(askStatus(address), { code: 'E_STATUS_UNREACHABLE' });
});

test('what is no status of a coordinator is refused', async (context) => {
  const answers: [RequestListener, RegExp][] = [
    [answering('<html>'), /not JSON/],
    [answering({ ...STATUS, reproducible: undefined }), /reproducible/],
    [answering({ ...STATUS, workers: [{ id: 1 }] }), /workers/],
    [answering('x'.repeat(9_000_000)), /longer than/],
    [(_, response) => response.writeHead(500).end(), /status 500/],
  ];
  for (const [listener, message] of answers) {
    await assert.rejects(askStatus(await serve(context, listener)), { code: 'E_STATUS_FORMAT', message });
  }
});

test('the address is given as such, as workers dial it, or by the directory of the run', async (context) => {
  const root = await fs.mkdtemp(join(tmpdir(), 'lockstep-status-'));
  context.after(() => fs.rm(root, { recursive: true, force: true }));
  await assert.rejects(coordinatorAddress(root), { code: 'E_STATUS_ADDRESS' });
  await writeCoordinatorAddress(root, { address: 'http://127.0.0.1:29401', pid: 1 });
  assert.equal(await coordinatorAddress(root), 'http://127.0.0.1:29401');
  assert.equal(await coordinatorAddress('http://host:1/status'), 'http://host:1');
  assert.equal(await coordinatorAddress('ws://[::1]:29400/control'), 'http://[::1]:29400');
  await assert.rejects(coordinatorAddress('ftp://host:1'), { code: 'E_STATUS_ADDRESS' });
});

const answer = (change: Partial<Status>): Seen => ({ kind: 'answer', status: { ...STATUS, ...change }, text: '' });
const stored = (change: Partial<Status>): Seen => ({
  kind: 'stored',
  status: { ...STATUS, phase: 'over', ...change },
  why: 'nobody answers',
});
const COMPLETE = { step: 1000, steps: 1000, checkpoint: 1000 };

/** Watches a run that looks so, one look after another; what was written, with the pauses between. */
async function watched(looks: readonly (Seen | Error)[], once = false): Promise<string[]> {
  const left = [...looks];
  const happened: string[] = [];
  await watch({
    look: async () => {
      const seen = left.shift() ?? assert.fail('one look too many');
      return seen instanceof Error ? Promise.reject(seen) : seen;
    },
    pause: async () => void happened.push('pause'),
    write: ({ status }, complete) => void happened.push(complete ? 'complete' : String(status.step)),
    isRead: () => left.length > 0,
    once,
  }).catch((error: unknown) => {
    assert.ok(error instanceof CliError);
    happened.push(error.message);
  });
  return happened;
}

const gone = new CliError('E_STATUS_UNREACHABLE', 'nothing answers');

test('watching goes on until the run is complete, which is known from its directory when the coordinator has gone', async () => {
  const looks = [answer({ step: 1 }), answer({ step: 2 }), stored(COMPLETE)];
  assert.deepEqual(await watched(looks), ['1', 'pause', '2', 'pause', 'complete']);
  assert.deepEqual(await watched([stored(COMPLETE)]), ['complete']);
  assert.deepEqual(await watched([stored(COMPLETE)], true), ['complete']);
});

test('of an address, a last answer with all steps done says that the run is complete', async () => {
  assert.deepEqual(await watched([answer({ ...COMPLETE, checkpoint: 800 }), gone]), ['1000', 'pause', 'complete']);
});

test('a coordinator that is started again meanwhile is waited for', async () => {
  const looks = [
    answer({ step: 1 }),
    ...Array<Seen>(9).fill(stored({ step: 1 })),
    answer({ step: 2 }),
    stored(COMPLETE),
  ];
  assert.deepEqual(
    (await watched(looks)).filter((what) => what !== 'pause'),
    ['1', '2', 'complete'],
  );
});

test('a run that is not complete, and that nobody works at, is an error with its step and what to do', async () => {
  const text =
    'E_STATUS_UNREACHABLE: the run is at step 12 of 1000, with the last checkpoint of step 10, and nobody answers; go on by lockstep up --resume';
  assert.deepEqual(await watched([stored({})], true), [text]);
  assert.deepEqual(await watched([answer({ phase: 'over' }), stored({})]), ['12', 'pause', text]);
  const never = await watched([answer({}), ...Array<Error>(20).fill(gone)]);
  assert.match(never.at(-1) ?? '', /step 12 of 1000.*answers no more/);
  // All steps are in the ledger, but the last state is in no checkpoint.
  assert.match((await watched([stored({ ...COMPLETE, checkpoint: 800 })], true))[0], /step 1000 of 1000, .*step 800/);
});

test('watching ends when nobody reads what is written', async () => {
  let looks = 0;
  await watch({
    look: async () => answer({ step: ++looks }),
    pause: async () => undefined,
    write: () => undefined,
    isRead: () => looks < 3,
    once: false,
  });
  assert.equal(looks, 3);
});

test('on a narrow terminal the table leaves columns out, and a screen shows what it has rows for', () => {
  const lines = describeStatus(STATUS, 40);
  assert.equal(lines[5], 'worker    ms/microbatch  note');
  for (const line of lines.slice(5, 9)) assert.ok(line.length <= 40, line);
  assert.deepEqual(firstScreen(['one', 'x'.repeat(25), 'three'], 10, 9), ['one', 'x'.repeat(25), 'three']);
  assert.deepEqual(firstScreen(['one', 'x'.repeat(25), 'three'], 10, 5), ['one', '... 2 more']);
  assert.deepEqual(firstScreen(['one', 'two', 'three'], 80, 4), ['one', 'two', 'three']);
  assert.deepEqual(firstScreen(['one', 'two', 'three'], 80, 3), ['one', '... 2 more lines']);
});
