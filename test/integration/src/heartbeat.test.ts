/** A real worker process against a coordinator played by the test. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
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

const WORKER = fileURLToPath(new URL('../../../apps/worker/dist/main.js', import.meta.url));
const HEARTBEAT_TIMEOUT_MS = 500;
/** Large enough that one gradient of a network of width 32 takes far longer than a heartbeat interval. */
const LONG_MICROBATCH = 64;

describe('a worker that computes a long step', () => {
  it('sends its heartbeats at their interval all the while', async (test) => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: CONTROL_PATH });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const worker = spawn(process.execPath, [WORKER, '--coordinator', `ws://127.0.0.1:${port}`, '--name', 'w'], {
      stdio: 'ignore',
    });
    test.after(() => {
      worker.kill('SIGKILL');
      server.close();
    });
    const [socket] = (await once(server, 'connection')) as [WebSocket];
    const inbox: { readonly message: WorkerMessage; readonly at: number }[] = [];
    let wake: () => void = () => undefined;
    socket.on('message', (data) => {
      inbox.push({ message: parseWorkerMessage(unpackMessage(data)), at: performance.now() });
      wake();
    });
    const received = async <T extends WorkerMessage['type']>(
      type: T,
    ): Promise<{ message: Extract<WorkerMessage, { type: T }>; at: number }> => {
      for (;;) {
        for (const { message, at } of inbox)
          if (message.type === type) return { message: message as Extract<WorkerMessage, { type: T }>, at };
        await new Promise<void>((resolve) => (wake = resolve));
      }
    };
    const tell = (message: CoordinatorMessage): void => sendMessage(socket, message);
    const alive = setInterval(() => tell({ type: 'heartbeat' }), heartbeatInterval(HEARTBEAT_TIMEOUT_MS));
    test.after(() => clearInterval(alive));

    const { message: hello } = await received('hello');
    tell({
      type: 'welcome',
      run: 'test',
      settings: {
        data: 'mnist',
        seed: 1,
        recipe: recipeOf({
          preset: 'default',
          baseWidth: 32,
          globalBatch: LONG_MICROBATCH,
          microbatchSize: LONG_MICROBATCH,
        }),
        wire: 'int32',
        checkpointEvery: 100,
        dataDigest: loadMnist('train').digest,
      },
      heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
    });
    const { message: ready } = await received('ready');
    inbox.length = 0;
    const planned = performance.now();
    tell({
      type: 'plan',
      generation: 1,
      step: 0,
      place: {
        rank: 0,
        size: 1,
        predecessor: { id: 'w', host: hello.host, port: hello.port },
        successor: 'w',
        total: 1,
        leaders: null,
      },
      work: { microbatches: [0], digests: [], anew: [] },
      digest: ready.have.digest,
      reload: false,
      sources: [],
    });
    const { message: gradient, at } = await received('gradient');
    const interval = heartbeatInterval(HEARTBEAT_TIMEOUT_MS);
    const beats = inbox.filter((entry) => entry.message.type === 'heartbeat' && entry.at < at).length;
    assert.equal(gradient.microbatch, 0);
    assert.ok(
      gradient.milliseconds > 3 * interval,
      `the step took only ${gradient.milliseconds} ms: make the microbatch larger`,
    );
    // Blocked by the step, it could have sent none; a loaded machine may delay some.
    assert.ok(beats >= Math.floor((at - planned) / interval / 2), `${beats} heartbeats in ${at - planned} ms`);
  });
});
