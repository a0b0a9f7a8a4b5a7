import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { createConnection } from 'node:net';
import { test, type TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { DataServer } from '#src/ring/data-server.js';
import { localPath, newLocalName } from '#src/ring/local-socket.js';
import { refusalIn } from '#src/http/request-gate.js';

type Where = { readonly port: number } | { readonly socketPath: string };

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'AA==',
};
const RING = '/ring?generation=1&tier=0&from=b';

async function listen(test: TestContext, names: readonly string[] = []): Promise<DataServer> {
  const server = await DataServer.listen({
    host: '127.0.0.1',
    port: 0,
    selfId: 'a',
    names,
    localName: newLocalName(),
    handleRequest: (_request, response) => response.end('the state'),
  });
  test.after(() => server.close());
  return server;
}

async function ask(where: Where, path: string, headers: OutgoingHttpHeaders, method = 'GET'): Promise<IncomingMessage> {
  const asked = request({ ...('port' in where ? { host: '127.0.0.1' } : {}), ...where, path, method, headers });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response;
}

async function refusedAs(where: Where, path: string, headers: OutgoingHttpHeaders, method = 'GET'): Promise<string> {
  const response = await ask(where, path, headers, method);
  return `${response.statusCode} ${(await refusalIn(response))?.code}`;
}

test("a page's requests and upgrades are refused by a worker's port and its local socket, whatever they ask for", async (t) => {
  const server = await listen(t);
  const places: Where[] = [{ port: server.port }];
  if (server.local !== null) places.push({ socketPath: localPath(server.local) });
  for (const where of places) {
    for (const path of ['/state/0', '/', '/nosuch', RING])
      for (const more of [{}, UPGRADE]) {
        const rebound = { host: `evil.example:${server.port}`, ...more };
        assert.equal(await refusedAs(where, path, rebound), '403 E_HOST_REFUSED', path);
        const foreign = { host: `127.0.0.1:${server.port}`, origin: 'http://evil.example', ...more };
        assert.equal(await refusedAs(where, path, foreign), '403 E_ORIGIN_REFUSED', path);
        const crossSite = { host: `127.0.0.1:${server.port}`, 'sec-fetch-site': 'cross-site', ...more };
        assert.equal(await refusedAs(where, path, crossSite), '403 E_ORIGIN_REFUSED', path);
      }
    for (const method of ['POST', 'OPTIONS', 'DELETE'])
      assert.equal(await refusedAs(where, '/state/0', { host: 'evil.example' }, method), '403 E_HOST_REFUSED', method);
    const own = await ask(where, '/state/0', { host: `localhost:${server.port}` });
    assert.equal(own.statusCode, 200);
    own.resume();
  }
});

test('a neighbour that dials by the name that the worker advertises is let in', async (t) => {
  const server = await listen(t, ['tunnel.example']);
  const ws = new WebSocket(`ws://tunnel.example:${server.port}${RING}`, {
    createConnection: () => createConnection({ host: '127.0.0.1', port: server.port }),
  });
  await once(ws, 'open');
  ws.terminate();
});

test('an answer that no gate gave is no refusal', async (t) => {
  const server = await listen(t);
  assert.equal(await refusalIn(await ask({ port: server.port }, '/state/0', {})), null);
});
