/** What a real worker process says of where its neighbours dial it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { WebSocketServer, type WebSocket } from 'ws';
import { CONTROL_PATH, localPath, parseWorkerMessage, unpackMessage, type WorkerMessage } from '@lockstep/comm';

const WORKER = fileURLToPath(new URL('../../../apps/worker/dist/main.js', import.meta.url));
const skip = process.platform === 'linux' ? false : 'no abstract names on this system';

type Hello = Extract<WorkerMessage, { type: 'hello' }>;

/** The first message of a worker with these flags, which lives until the test's end. */
async function helloOf(test: TestContext, flags: readonly string[]): Promise<Hello> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: CONTROL_PATH });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const worker = spawn(process.execPath, [WORKER, '--coordinator', `ws://127.0.0.1:${port}`, ...flags], {
    stdio: 'ignore',
  });
  test.after(() => {
    worker.kill('SIGKILL');
    server.close();
  });
  const [socket] = (await once(server, 'connection')) as [WebSocket];
  const [data] = (await once(socket, 'message')) as [Buffer];
  const message = parseWorkerMessage(unpackMessage(data));
  assert.ok(message.type === 'hello');
  return message;
}

describe('a worker', { skip }, () => {
  it('announces a local socket, and listens there', async (test) => {
    const { local } = await helloOf(test, []);
    assert.ok(local !== undefined);
    const socket = connect(localPath(local));
    await once(socket, 'connect');
    socket.destroy();
  });

  it('announces none if it is told under which address it is reached', async (test) => {
    const { host, local } = await helloOf(test, ['--advertise-host', '127.0.0.2']);
    assert.deepEqual([host, local], ['127.0.0.2', undefined]);
  });
});
