import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { Proxy } from './proxy.js';

const LOCAL = '127.0.0.1';
/** Milliseconds. */
const HANG_MS = 10 * 60_000;

/** A server that says everything back, and a client of it through a proxy. */
async function echoThroughProxy(
  context: TestContext,
): Promise<{ proxy: Proxy; client: Socket; received: () => number }> {
  const server = createServer(
    { allowHalfOpen: true },
    (socket) => void socket.on('error', () => undefined).pipe(socket),
  );
  server.listen(0, LOCAL);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const proxy = await Proxy.listen({ host: LOCAL, port: 0 }, () => ({ host: LOCAL, port }));
  const client = connect({ port: proxy.port, host: LOCAL, allowHalfOpen: true });
  let bytes = 0;
  client.on('data', (chunk) => (bytes += chunk.length));
  context.after(async () => {
    client.destroy();
    await proxy.close();
    server.close();
  });
  return { proxy, client, received: () => bytes };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test(
  'every byte passes, both ways, fast or at a pace, in order of the changes',
  { timeout: HANG_MS },
  async (context) => {
    const { proxy, client, received } = await echoThroughProxy(context);
    client.write(Buffer.alloc(1_000_000));
    await until(() => received() === 1_000_000);
    proxy.setPace({ bytesPerSecond: 2_000_000, delayMs: 5 });
    client.write(Buffer.alloc(300_000));
    proxy.setPace(null);
    client.write(Buffer.alloc(1_000));
    await until(() => received() === 1_301_000);
  },
);

test(
  'after a blackhole nothing passes, nobody is told, and a new connection works',
  { timeout: HANG_MS },
  async (context) => {
    const { proxy, client, received } = await echoThroughProxy(context);
    client.write('x');
    await until(() => received() === 1);
    assert.equal(proxy.blackhole(), 1);
    let told = false;
    client.on('close', () => (told = true));
    client.write('y');
    const second = connect(proxy.port, LOCAL);
    context.after(() => second.destroy());
    second.write('z');
    await once(second, 'data');
    assert.equal(received(), 1);
    assert.equal(told, false);
  },
);

test('the end of one side reaches the other with all that was sent before', { timeout: HANG_MS }, async (context) => {
  const { client, received } = await echoThroughProxy(context);
  client.end(Buffer.alloc(200_000));
  await once(client, 'end');
  assert.equal(received(), 200_000);
});
