import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { DataServer } from '#src/ring/data-server.js';
import { listening, ListenError } from '#src/http/listening.js';

const refused = (code: string, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof ListenError);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  assert.ok(error.cause instanceof Error);
  return true;
};

test('what keeps a process from its port is told by a code, and what to do', async (context) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  context.after(() => other.close());
  const { port } = other.address() as AddressInfo;
  const listen = (host: string, at: number) => listening(createServer(), { host, port: at });
  await assert.rejects(listen('127.0.0.1', port), refused('E_PORT_IN_USE', new RegExp(`port ${port} .* --port \\(0`)));
  await assert.rejects(listen('192.0.2.1', 0), refused('E_LISTEN', /192\.0\.2\.1 is no address of this machine/));
  await assert.rejects(listen('no-such-host.invalid', 0), refused('E_LISTEN', /no-such-host\.invalid .*--host/));
  await assert.rejects(listen('127.0.0.1', 70_000), refused('E_LISTEN', /70000.*--port/));
  const free = createServer();
  await listening(free, { host: '127.0.0.1', port: 0 });
  free.close();
});

test("a worker's port is taken in the same way", async (context) => {
  const first = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId: 'a' });
  context.after(() => first.close());
  const options = { host: '127.0.0.1', port: first.port, selfId: 'b' };
  await assert.rejects(DataServer.listen(options), { code: 'E_PORT_IN_USE' });
});
