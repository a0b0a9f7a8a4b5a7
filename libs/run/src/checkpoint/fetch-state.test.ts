import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import { afterEach, test } from 'node:test';
import { fetchState } from '#src/checkpoint/fetch-state.js';
import { encodeState, encodedStateBytes, stateDigest, type TrainingState } from '#src/checkpoint/state.js';

const LENGTH = 1000;
/** Nothing that is not meant to stall is taken for it, on the slowest machine too; no test waits for it. */
const LONG_STALL_MS = 20 * 60_000;
const SHORT_STALL_MS = 250;

const state: TrainingState = {
  step: 7,
  weights: Float32Array.from({ length: LENGTH }, (_, i) => i / 3),
  expAvg: new Float32Array(LENGTH),
  expAvgSq: new Float32Array(LENGTH).fill(2),
  ema: new Float32Array(LENGTH).fill(-1),
};
const digest = stateDigest(state, 2);
const encoded = Buffer.concat(encodeState(state));
const wanted = { step: 7, digest, arithmetic: 2, length: LENGTH, stallMs: LONG_STALL_MS } as const;

const open: Server[] = [];
afterEach(async () => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function source(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}/state/7`;
}

test('a state that comes in pieces is put together and believed by its digest', async () => {
  const url = await source((_request, response) => {
    response.writeHead(200, { 'content-length': encoded.length });
    for (let start = 0; start < encoded.length; start += 999) response.write(encoded.subarray(start, start + 999));
    response.end();
  });
  assert.deepEqual(await fetchState(url, wanted), state);
});

test('a source that goes quiet in the middle is given up', async () => {
  const url = await source((_request, response) => {
    response.writeHead(200, { 'content-length': encoded.length });
    response.write(encoded.subarray(0, 5000));
  });
  await assert.rejects(fetchState(url, { ...wanted, stallMs: SHORT_STALL_MS }), /no byte came for 250 ms/);
});

test('a source that takes the request and never answers is given up', async () => {
  const url = await source(() => undefined);
  await assert.rejects(fetchState(url, { ...wanted, stallMs: SHORT_STALL_MS }), /no byte came for 250 ms/);
});

test('a slow source is not given up while bytes come, though the whole takes longer than the stall time', async () => {
  const pieces = 12;
  const size = Math.ceil(encoded.length / pieces);
  // In one event loop: a look for stalls that comes late makes the pieces come no later than it.
  const pause = SHORT_STALL_MS / 4;
  const url = await source((_request, response) => {
    response.writeHead(200, { 'content-length': encoded.length });
    const send = (piece: number): void => {
      if (piece === pieces) response.end();
      else {
        response.write(encoded.subarray(piece * size, (piece + 1) * size));
        setTimeout(() => send(piece + 1), pause);
      }
    };
    send(0);
  });
  assert.equal(stateDigest(await fetchState(url, { ...wanted, stallMs: SHORT_STALL_MS }), 2), digest);
});

test('what is not the wanted state is refused: other bits, another step, another length, an error', async () => {
  const flipped = Buffer.from(encoded);
  flipped[flipped.length - 1] ^= 1;
  const whole = (body: Buffer) =>
    source((_request, response) => {
      response.writeHead(200, { 'content-length': body.length });
      response.end(body);
    });
  await assert.rejects(fetchState(await whole(flipped), wanted), /not [0-9a-f]{12}/);
  await assert.rejects(fetchState(await whole(encoded), { ...wanted, step: 8 }), /it gave state 7/);
  await assert.rejects(
    fetchState(await whole(encoded.subarray(4)), wanted),
    new RegExp(`it offers ${encoded.length - 4} bytes, not ${encodedStateBytes(LENGTH)}`),
  );
  const missing = await source((_request, response) => {
    response.writeHead(404);
    response.end('not here');
  });
  await assert.rejects(fetchState(missing, wanted), /HTTP 404 not here/);
});

test('a source that dies in the middle makes the fetch fail, not hang', async () => {
  const url = await source((request, response) => {
    response.writeHead(200, { 'content-length': encoded.length });
    response.write(encoded.subarray(0, 5000), () => request.socket.destroy());
  });
  await assert.rejects(fetchState(url, wanted));
});

test('a source that nobody listens at is told with what the system said, not as a fetch that failed', async () => {
  const url = await source(() => undefined);
  for (const server of open.splice(0)) await new Promise((resolve) => server.close(resolve));
  await assert.rejects(fetchState(url, wanted), /fetch failed: connect ECONNREFUSED 127\.0\.0\.1:\d+/);
});
