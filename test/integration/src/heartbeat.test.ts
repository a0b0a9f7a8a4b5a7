/** A real worker process against a coordinator played by the test, which decides when a gradient is done. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  CONTROL_PATH,
  heartbeatInterval,
  parseWorkerMessage,
  sendMessage,
  unpackMessage,
  type CoordinatorMessage,
  type WorkerMessage,
} from '@lockstep/comm';
import { loadMnist, recipeOf } from '@lockstep/diffusion';
import { pause, temporaryFolder } from './harness.js';

const WORKER = fileURLToPath(new URL('./held-worker.fixture.js', import.meta.url));
const HEARTBEAT_TIMEOUT_MS = 1_000;
/** Heartbeats that come while the gradient stands still. */
const BEATS = 4;
const POLL_MS = 20;
/** Without them the test would wait for ever. Milliseconds. */
const HANG_MS = 10 * 60_000;

type Of<T extends WorkerMessage['type']> = Extract<WorkerMessage, { type: T }>;

describe('a worker that computes a long step', () => {
  it('sends its heartbeats all the while', { timeout: HANG_MS }, async (test) => {
    const folder = temporaryFolder(test);
    const [latch, at] = [join(folder, 'latch'), join(folder, 'at')];
    const recipe = recipeOf({ preset: 'tiny', globalBatch: 4, microbatchSize: 4 });
    const { digest: dataDigest } = loadMnist('train');
    const settings = {
      task: { module: 'diffusion', code: { version: '1' } },
      data: 'mnist',
      seed: 1,
      recipe,
      wire: 'int32',
      arithmetic: 2,
      engine: 'tensorflow',
      checkpointEvery: 100,
      dataDigest,
    } as const;

    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: CONTROL_PATH });
    await once(server, 'listening');
    let [beats, generation] = [0, 0];
    let gradient: Of<'gradient'> | null = null;
    let hello: Of<'hello'> | null = null;
    const place = ({ host, port }: Of<'hello'>) =>
      ({ rank: 0, size: 1, predecessor: { id: 'w', host, port }, successor: 'w', total: 1, leaders: null }) as const;
    const work = { microbatches: [0], digests: [], anew: [] };
    server.on('connection', (socket: WebSocket) => {
      const tell = (message: CoordinatorMessage): void => sendMessage(socket, message);
      const alive = setInterval(() => tell({ type: 'heartbeat' }), heartbeatInterval(HEARTBEAT_TIMEOUT_MS));
      socket.on('close', () => clearInterval(alive));
      socket.on('message', (data) => {
        const message = parseWorkerMessage(unpackMessage(data));
        if (message.type === 'heartbeat') beats += 1;
        else if (message.type === 'gradient') gradient = message;
        else if (message.type === 'hello') {
          hello = message;
          tell({ type: 'welcome', run: 'test', settings, heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS });
        } else if (message.type === 'ready' && hello !== null) {
          // Again where this process was held up, and the worker took it for lost.
          const { digest } = message.have;
          const plan = { generation: ++generation, step: 0, place: place(hello), work, digest, reload: false } as const;
          tell({ type: 'plan', ...plan, sources: [] });
        }
      });
    });
    const { port } = server.address() as AddressInfo;
    const worker = spawn(process.execPath, [WORKER, '--coordinator', `ws://127.0.0.1:${port}`, '--name', 'w'], {
      stdio: 'ignore',
      env: { ...process.env, HELD_LATCH: latch, HELD_AT: at },
    });
    test.after(() => {
      worker.kill('SIGKILL');
      for (const client of server.clients) client.terminate();
      server.close();
    });
    const until = async (holds: () => boolean): Promise<void> => {
      while (!holds()) {
        assert.equal(worker.exitCode, null, 'the worker has ended');
        await pause(POLL_MS);
      }
    };

    await until(() => existsSync(at));
    const before = beats;
    await until(() => beats >= before + BEATS);
    assert.equal(gradient, null, 'the gradient has stood still');
    writeFileSync(latch, '');
    await until(() => gradient !== null);
  });
});
