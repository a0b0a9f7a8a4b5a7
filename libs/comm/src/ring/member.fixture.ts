/**
 * A ring member in a process of its own, for tests that kill it: node fixture-member.js ID. Over IPC it reports where
 * to dial it, takes { generation, place, heartbeatTimeoutMs, elements }, joins, reports 'joined', and starts round 0 with a buffer of
 * `elements` ones; with null it never starts one, so that the others are stuck midway.
 */
import { once } from 'node:events';
import { DataServer } from '#src/ring/data-server.js';
import { hangGuard } from './ring.fixture.js';
import { newLocalName } from '#src/ring/local-socket.js';
import type { Member, Place } from '#src/control/messages.js';

type Plan = { generation: number; place: Place; heartbeatTimeoutMs: number; elements: number | null };

const [selfId] = process.argv.slice(2);
const server = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId, localName: newLocalName() });
const { port, local } = server;
process.send?.({ id: selfId, host: '127.0.0.1', port, ...(local !== null && { local }) } satisfies Member);
const [{ elements, ...plan }] = (await once(process, 'message')) as [Plan];
const link = await server.joinRing({ ...plan, signal: hangGuard() });
process.send?.('joined');
if (elements !== null) void link.allReduce({ round: 0, buffer: new Int32Array(elements).fill(1) });
await once(process, 'disconnect');
link.close();
await server.close();
