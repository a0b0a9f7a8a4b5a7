// One end of a bare TCP connection, to measure the ring against: node ring-tcp.js RANK 2, over IPC. Rank 1 dials rank 0.
// What a program would do that only wants speed: views are written without a copy, reads go into one buffer again and again.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { z } from 'zod';
import { nextOrder, tellParent } from './member-channel.js';
import { flowSchema, portSchema } from './orders.js';

/** As the ring's segments and reads. */
const WRITE_BYTES = 256 * 1024;
const READ_BYTES = 768 * 1024;
const BUFFER = Buffer.alloc(READ_BYTES);
const MEMORY = Buffer.alloc(64 * 1024 * 1024, 1);

const rank = Number(process.argv[2]);
let received = 0;
/** Bytes that are to come by the end of the order under way; some of them may be there before the order is. */
let wanted = 0;
let arrived: () => void = () => undefined;
const onread = {
  buffer: BUFFER,
  callback: (bytes: number): boolean => {
    received += bytes;
    if (received >= wanted) arrived();
    return true;
  },
};
const server = createServer({ noDelay: true });
// `onread` exists for dialled sockets only, so each end sends over the connection that the other one has dialled.
const dialled = new Promise<Socket>((resolve) => server.once('connection', resolve));
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
tellParent(typeof address === 'object' ? address?.port : null);
const ports = z.array(portSchema).parse(await nextOrder());
const inbound = connect({ port: ports[1 - rank], host: '127.0.0.1', noDelay: true, onread });
const outbound = await dialled;
tellParent('connected');

async function send(bytes: number): Promise<void> {
  for (let sent = 0; sent < bytes; sent += WRITE_BYTES) {
    const at = sent % MEMORY.length;
    const ready = outbound.write(MEMORY.subarray(at, at + Math.min(WRITE_BYTES, bytes - sent)));
    if (!ready) await once(outbound, 'drain');
  }
}

for (let message = await nextOrder(); message !== null; message = await nextOrder()) {
  const { bytes, twoWay } = flowSchema.parse(message);
  const start = process.hrtime.bigint();
  wanted += twoWay || rank === 1 ? bytes : 0;
  const whole = received >= wanted ? Promise.resolve() : new Promise<void>((resolve) => (arrived = resolve));
  await Promise.all([whole, twoWay || rank === 0 ? send(bytes) : undefined]);
  // The clock is the machine's, the same for both processes; microseconds since it started fit a double.
  tellParent({ start: Number(start) / 1e9, end: Number(process.hrtime.bigint()) / 1e9 });
}
inbound.destroy();
outbound.destroy();
server.close();
process.disconnect();
