/**
 * A ring member in a process of its own, for tests that kill it: node fixture-member.js ID. Over IPC it reports its port,
 * takes { generation, place, heartbeatTimeoutMs }, joins, reports 'joined', and never starts an all-reduce, so that the others are stuck midway.
 */
import { once } from 'node:events';
import { DataServer } from './data-server.js';
import type { Place } from './messages.js';

const server = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId: process.argv[2] });
process.send?.(server.port);
const [plan] = (await once(process, 'message')) as [{ generation: number; place: Place; heartbeatTimeoutMs: number }];
const link = await server.joinRing({ ...plan, signal: AbortSignal.timeout(30_000) });
process.send?.('joined');
await once(process, 'disconnect');
link.close();
await server.close();
