import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, test } from 'node:test';
import { MONOTONIC, RequestGate, dialControl, type RequestRefusal } from '@lockstep/comm';
import { ControlConnection, type ControlOptions } from '#src/edge/control-connection.js';
import { PlayedCoordinator } from './coordinator.fixture.js';

/** The shortest that a run may have: beats come every 100 ms. */
const HEARTBEAT_TIMEOUT_MS = 500;

let coordinator: PlayedCoordinator;
let connection: ControlConnection;

beforeEach(async () => {
  coordinator = await PlayedCoordinator.listen((_request, response) => {
    response.end();
  });
});
afterEach(async () => {
  await connection.close('the test is over');
  await coordinator.close();
});

/** A connection whose callbacks a test may replace; anything unexpected fails it. */
function connect(callbacks: Partial<ControlOptions>, now = () => MONOTONIC.now()): void {
  connection = new ControlConnection({
    coordinator: coordinator.url,
    ports: { clock: { ...MONOTONIC, now }, random: () => 0, dial: dialControl },
    onOpen: () => connection.pace(HEARTBEAT_TIMEOUT_MS),
    onMessage: () => undefined,
    onLost: () => undefined,
    onBeat: () => undefined,
    onRefused: ({ message }) => assert.fail(message),
    onInvalid: (error) => assert.fail(String(error)),
    onSilent: () => undefined,
    onUnreachable: () => assert.fail('given up'),
    ...callbacks,
  });
  connection.start();
}

test('a coordinator that says nothing is dropped after the timeout, and dialled again', async () => {
  const happened: string[] = [];
  await new Promise<void>((resolve) => {
    connect({
      onOpen: () => {
        connection.pace(HEARTBEAT_TIMEOUT_MS);
        happened.push('open');
        if (happened.length > 1) resolve();
      },
      onSilent: (silence) => happened.push(`silent for ${silence}`),
      onLost: () => happened.push('lost'),
    });
  });
  assert.deepEqual(happened, ['open', 'silent for 500', 'lost', 'open']);
});

test("a worker that stood still does not take that for its coordinator's silence", async () => {
  const standstills = 3;
  const beatsAfter = 4;
  let clock = 0;
  let beats = 0;
  let silences = 0;
  await new Promise<void>((resolve) => {
    const callbacks: Partial<ControlOptions> = {
      onBeat: () => {
        // As after SIGCONT: the clock has gone on, the beat is the first thing that runs, what was sent meanwhile is unread.
        clock += beats < standstills ? 60_000 : 100;
        beats += 1;
        coordinator.say({ type: 'heartbeat' });
        if (beats === standstills + beatsAfter) resolve();
      },
      onSilent: () => (silences += 1),
    };
    connect(callbacks, () => clock);
  });
  assert.equal(silences, 0);
});

test('all waits follow from the heartbeat timeout that the coordinator says', async () => {
  await new Promise<void>((resolve) => connect({ onBeat: resolve }));
  const { timeouts } = connection;
  assert.equal(timeouts.controlSilenceMs, HEARTBEAT_TIMEOUT_MS);
  assert.equal(timeouts.transferStallMs, HEARTBEAT_TIMEOUT_MS);
  assert.equal(timeouts.giveUpMs, 120 * HEARTBEAT_TIMEOUT_MS);
});

test('what is no message of the protocol is told as such', async () => {
  const error = await new Promise<unknown>((resolve) => {
    connect({ onInvalid: resolve, onBeat: () => coordinator.sayBytes(Buffer.from([0x81, 0xa1, 0x61, 1])) });
  });
  assert.ok(error instanceof Error && 'code' in error);
  assert.equal(error.code, 'E_MESSAGE_INVALID');
});

/** A server that answers each dial in its own way; returns its address and how often it was dialled. */
async function answering(answer: (...dial: Parameters<RequestGate['turnsAwayUpgrade']>) => void) {
  const server = createServer();
  let dials = 0;
  server.on('upgrade', (request, socket) => {
    dials += 1;
    answer(request, socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `ws://127.0.0.1:${port}`, dials: () => dials, close: () => server.close() };
}

test("a coordinator that does not know itself by the dialled name is not dialled again: its reason is the worker's end", async () => {
  const gate = new RequestGate('127.0.0.1');
  // As if the worker had dialled that name, which no resolver here knows.
  const server = await answering((request, socket) => {
    request.url = 'http://head.example/control';
    gate.turnsAwayUpgrade(request, socket);
  });
  const refusal = await new Promise<RequestRefusal>((resolve) => {
    connect({ coordinator: server.url, onRefused: resolve });
  });
  assert.equal(refusal.code, 'E_HOST_REFUSED');
  assert.match(refusal.message, /--allowed-hosts head\.example/);
  server.close();
});

test("any other answer than an upgrade, such as a proxy's, is dialled again", async () => {
  const answers = ['HTTP/1.1 403 Forbidden\r\n\r\n<html>', 'HTTP/1.1 502 Bad Gateway\r\n\r\n{"code":"E_HOST_REFUSED"}'];
  const server = await answering((_request, socket) => socket.end(answers[(server.dials() - 1) % answers.length]));
  connect({ coordinator: server.url });
  while (server.dials() < 3) await new Promise((resolve) => setTimeout(resolve, 20));
  server.close();
});
