/**
 * A ring member in a process of its own, for tests that kill it: node fixture-member.js ID. Over IPC it reports its port,
 * takes { generation, place, heartbeatTimeoutMs, elements }, joins, reports 'joined', and starts step 0 with a buffer of
 * `elements` ones; with null it never starts one, so that the others are stuck midway.
 */
import { once } from 'node:events';
import { DataServer } from './data-server.js';
import type { Place } from './messages.js';

type Plan = { generation: number; place: Place; heartbeatTimeoutMs: number; elements: number | null };

const server = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId: process.argv[2] });
process.send?.(server.port);
const [{ elements, ...plan }] = (await once(process, 'message')) as [Plan];
const link = await server.joinRing({ ...plan, signal: AbortSignal.timeout(30_000) });
process.send?.('joined');
if (elements !== null) void link.allReduce({ step: 0, buffer: new Int32Array(elements).fill(1) });
await once(process, 'disconnect');
link.close();
await server.close();
