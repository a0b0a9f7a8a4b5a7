/** The coordinator's port with real sockets: who is let in, and under which name. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket } from 'ws';
import {
  CONTROL_PATH,
  PROTOCOL_VERSION,
  parseCoordinatorMessage,
  refusalIn,
  sendMessage,
  unpackMessage,
  type CoordinatorMessage,
} from '@lockstep/comm';
import { loadGiven } from '@lockstep/config';
import { systemClocks } from '#src/decide/clocks.js';
import { openCoordinator } from '#src/edge/open.js';
import type { CoordinatorServer } from '#src/edge/server.js';
import type { Note } from '#src/decide/state.js';

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'AA==',
};
/** No test here waits for it; a worker that says no more than hello must not be cut off meanwhile. */
const HEARTBEAT_TIMEOUT_MS = 600_000;
const [FIRST, SECOND] = ['1'.repeat(32), '2'.repeat(32)];

let server: CoordinatorServer;
const notes: Note[] = [];
const out = mkdtempSync(join(tmpdir(), 'lockstep-server-'));

before(async () => {
  const flags = { preset: 'tiny', port: '0', out: join(out, 'run'), heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS };
  server = await openCoordinator(loadGiven({ schema: 'run', env: {}, flags }), {
    clocks: systemClocks,
    freshRunId: 'test',
    report: ({ note }) => notes.push(note),
    warn: () => undefined,
  });
});
after(async () => {
  server.stop('the tests are over');
  await server.finished;
  rmSync(out, { recursive: true, force: true });
});

async function ask(path: string, headers: OutgoingHttpHeaders, method = 'GET'): Promise<string> {
  const asked = request({ host: '127.0.0.1', port: server.port, path, method, headers });
  asked.end();
  const answer = once(asked, 'response').then(([response]) => response as IncomingMessage);
  const upgraded = once(asked, 'upgrade').then(([response]) => response as IncomingMessage);
  asked.on('upgrade', (_response, socket) => socket.destroy());
  const response = await Promise.race([answer, upgraded]);
  const code = (await refusalIn(response))?.code ?? '';
  response.resume();
  return `${response.statusCode} ${code}`.trim();
}

class Dialler {
  private readonly socket = new WebSocket(`ws://127.0.0.1:${server.port}${CONTROL_PATH}`);
  readonly heard: CoordinatorMessage[] = [];
  private waiting: () => void = () => undefined;
  readonly closed = once(this.socket, 'close').then(([code]) => code as number);

  constructor() {
    this.socket.on('message', (data) => {
      this.heard.push(parseCoordinatorMessage(unpackMessage(data)));
      this.waiting();
    });
  }

  /** Says hello, and returns the first answer. */
  async hello(worker: string, instance: string, protocol = PROTOCOL_VERSION): Promise<CoordinatorMessage> {
    await once(this.socket, 'open');
    sendMessage(this.socket, { type: 'hello', protocol, worker, instance, host: '127.0.0.1', port: 1, run: null });
    return this.next();
  }

  async next(): Promise<CoordinatorMessage> {
    for (;;) {
      const message = this.heard.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => (this.waiting = resolve));
    }
  }

  get isOpen(): boolean {
    return this.socket.readyState === WebSocket.OPEN;
  }

  cut(): void {
    this.socket.terminate();
  }
}

test('a page cannot join a run: its upgrades and requests are refused, on every path and by every method', async () => {
  const host = `127.0.0.1:${server.port}`;
  for (const path of [CONTROL_PATH, '/status', '/metrics', '/healthz', '/state/0', '/', '/nosuch'])
    for (const more of [{}, UPGRADE]) {
      const evil = { host: 'evil.example', origin: 'http://evil.example', ...more };
      assert.equal(await ask(path, evil), '403 E_HOST_REFUSED', path);
      assert.equal(await ask(path, { host: 'evil.example', ...more }), '403 E_HOST_REFUSED', path);
      assert.equal(await ask(path, { host, origin: 'http://evil.example', ...more }), '403 E_ORIGIN_REFUSED', path);
      assert.equal(await ask(path, { host, 'sec-fetch-site': 'same-site', ...more }), '403 E_ORIGIN_REFUSED', path);
    }
  for (const method of ['POST', 'PUT', 'OPTIONS', 'PROPFIND'])
    assert.equal(await ask('/status', { host: 'evil.example' }, method), '403 E_HOST_REFUSED');
});

test('programs, and pages of the coordinator itself, are answered', async () => {
  const host = `localhost:${server.port}`;
  for (const path of ['/status', '/metrics', '/healthz']) assert.equal(await ask(path, { host }), '200');
  assert.equal(await ask('/status', { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }), '200');
  assert.equal(await ask('/nosuch', { host }), '404');
  const key = { 'sec-websocket-key': Buffer.alloc(16).toString('base64') };
  assert.equal(await ask(CONTROL_PATH, { host, origin: `http://${host}`, ...UPGRADE, ...key }), '101');
  assert.equal(await ask('/nosuch', { host, ...UPGRADE, ...key }), '400');
});

test("a second worker of a live one's name is refused for now, and the live one is not disturbed", async () => {
  const live = new Dialler();
  assert.equal((await live.hello('w', FIRST)).type, 'welcome');
  const generation = server.status().generation;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const other = new Dialler();
    const answer = await other.hello('w', SECOND);
    assert.ok(answer.type === 'refuse');
    assert.deepEqual([answer.code, answer.retryMs], ['E_WORKER_NAME_TAKEN', 2 * HEARTBEAT_TIMEOUT_MS]);
    assert.match(answer.message, /--name/);
    assert.equal(await other.closed, 1008);
  }
  assert.ok(live.isOpen);
  assert.deepEqual([server.status().generation, server.status().workers.map(({ id }) => id)], [generation, ['w']]);
  const told = notes.filter(({ note }) => note === 'worker-lost' || note === 'worker-refused');
  assert.deepEqual(
    told.map(({ note }) => note),
    ['worker-refused'],
    'told once, however often it tries',
  );

  // The same process dials again, as after a cut that the coordinator has not noticed.
  const again = new Dialler();
  assert.equal((await again.hello('w', FIRST)).type, 'welcome');
  await live.closed;
  assert.deepEqual(
    server.status().workers.map(({ id }) => id),
    ['w'],
  );

  // The process is gone, as its closed connection tells: the next one of that name comes in by itself.
  again.cut();
  for (;;) {
    const next = new Dialler();
    const answer = await next.hello('w', SECOND);
    if (answer.type === 'welcome') {
      next.cut();
      break;
    }
    await next.closed;
  }
});

test('a worker of another version is told so, though its hello has another form', async () => {
  const answer = await new Dialler().hello('old', '', PROTOCOL_VERSION - 1);
  assert.ok(answer.type === 'refuse');
  assert.equal(answer.code, 'E_PROTOCOL_VERSION');
});
