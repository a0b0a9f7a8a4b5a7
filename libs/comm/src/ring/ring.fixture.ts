/** Rings for tests: real servers and sockets on 127.0.0.1, and a peer that is played by hand, frame by frame. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import type { Clock } from '#src/clock.js';
import { DataServer } from '#src/ring/data-server.js';
import type { DataServerLog } from '#src/ring/data-server.js';
import { RingError } from '#src/errors.js';
import type { RingErrorCode } from '#src/errors.js';
import { HANG_MS, HeldClock } from './clock.fixture.js';
import type { AllReduceLink } from '#src/ring/links.js';
import { newLocalName } from '#src/ring/local-socket.js';
import type { Transport } from '#src/ring/local-socket.js';
import type { Member, Place, RingPlace } from '#src/control/messages.js';
import type { Wire } from '@lockstep/exact';
import { FLAG_ACCEPT, HEADER_BYTES, encodeMessage } from '#src/ring/wire.js';

/** A signal that only fires if a test hangs: then joinRing and allReduce reject instead. */
export function hangGuard(): AbortSignal {
  return AbortSignal.timeout(HANG_MS);
}

/** The heartbeat timeout: of the clock that the test holds, and for a process of its own so long that it never matters. */
export const PATIENT_MS = HANG_MS;

const clocks = new WeakMap<TestContext, HeldClock>();

/** The clock of all members in this test. */
export function clockOf(t: TestContext): HeldClock {
  const clock = clocks.get(t) ?? new HeldClock(t);
  clocks.set(t, clock);
  return clock;
}

/** Where `id` stands in a ring of these members. */
function ringPlaceIn(ring: readonly Member[], id: string): RingPlace {
  const size = ring.length;
  const rank = ring.findIndex((member) => member.id === id);
  return { rank, size, predecessor: ring[(rank + size - 1) % size], successor: ring[(rank + 1) % size].id };
}

/** The same, where that ring is all there is. */
export function placeIn(ring: readonly Member[], id: string): Place {
  return { ...ringPlaceIn(ring, id), total: ring.length, leaders: null };
}

/** Where `id` stands in these groups. */
export function placeInTiers(groups: readonly (readonly Member[])[], id: string): Place {
  const group = groups.find((members) => members.some((member) => member.id === id)) ?? [];
  const place = ringPlaceIn(group, id);
  const leaders = groups.map(([leader]) => leader);
  return { ...place, total: groups.flat().length, leaders: place.rank === 0 ? ringPlaceIn(leaders, id) : null };
}

/** What a member of that ring joins with. */
export function joinAs(id: string, generation: number, ring: readonly Member[], heartbeatTimeoutMs = PATIENT_MS) {
  return { generation, place: placeIn(ring, id), heartbeatTimeoutMs, signal: hangGuard() };
}

/** Matches a RingError by code, and by the peer it names. */
export function ringError(code: RingErrorCode, peer?: string) {
  return (error: unknown) => {
    assert.ok(error instanceof RingError, String(error));
    assert.equal(error.code, code, error.message);
    if (peer !== undefined) assert.equal(error.peer, peer, error.message);
    return true;
  };
}

/** What this machine has for the connections between members. */
export const TRANSPORTS: readonly Transport[] = newLocalName() === null ? ['tcp'] : ['tcp', 'local'];

/** A listening server that the test closes. */
export async function listen(
  t: TestContext,
  selfId: string,
  log: DataServerLog = () => undefined,
  over: Transport = 'tcp',
  clock: Clock = clockOf(t),
): Promise<{ server: DataServer; member: Member }> {
  const localName = over === 'local' ? newLocalName() : null;
  const server = await DataServer.listen({ host: '127.0.0.1', port: 0, selfId, log, localName, clock });
  t.after(() => server.close());
  const { port, local } = server;
  return { server, member: { id: selfId, host: '127.0.0.1', port, ...(local !== null && { local }) } };
}

/** Where to dial a member in a process of its own (fixture-member.ts), which is about to report it. */
export async function memberOf(child: ChildProcess, over: Transport): Promise<Member> {
  const [{ local, ...member }] = (await once(child, 'message')) as [Member];
  return { ...member, ...(over === 'local' && local !== undefined && { local }) };
}

/** n servers in one ring; ids are w0, w1... */
export async function ringOf(
  t: TestContext,
  n: number,
  generation = 1,
  over: Transport = 'tcp',
): Promise<AllReduceLink[]> {
  const all = await Promise.all(Array.from({ length: n }, (_, rank) => listen(t, `w${rank}`, undefined, over)));
  const ring = all.map(({ member }) => member);
  return await Promise.all(all.map(({ server, member }) => server.joinRing(joinAs(member.id, generation, ring))));
}

export type FakeFrame = {
  hop: number;
  segment: number;
  round: number;
  generation: number;
  values: number[];
  flags?: number;
  wire?: Wire;
};

/** The other member of a ring of two, played by the test: it accepted our dial, and has dialled us. */
export type FakePeer = {
  readonly link: AllReduceLink;
  /** The socket over which the fake sends to the real member. */
  readonly toReal: WebSocket;
  /** The socket over which the real member sends to the fake. */
  readonly fromReal: WebSocket;
  send(frame: FakeFrame): void;
};

/** The body of a data frame as one message. */
export function messageOf({ values, flags = 0, wire = 'int32', ...header }: FakeFrame): Buffer {
  const payload = wire === 'int32' ? Int32Array.from(values) : Int16Array.from(values);
  const head = encodeMessage({ ...header, flags, wire, count: payload.length });
  return Buffer.concat([head.subarray(head.length - HEADER_BYTES), Buffer.from(payload.buffer)]);
}

/** A real member w0 in a ring with the fake w1. */
export async function withFakePeer(t: TestContext, generation: number): Promise<FakePeer> {
  const { server, member } = await listen(t, 'w0');
  const fake = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(fake, 'listening');
  const address = fake.address();
  assert.ok(address !== null && typeof address === 'object');
  const { port }: AddressInfo = address;
  const dialled: Promise<[WebSocket, { socket: Socket }]> = once(fake, 'connection').then(([ws, request]) => [
    ws,
    request,
  ]);
  const ring = [member, { id: 'w1', host: '127.0.0.1', port }];
  const joining = server.joinRing(joinAs('w0', generation, ring));
  const fromReal = new WebSocket(`ws://127.0.0.1:${member.port}/ring?generation=${generation}&tier=0&from=w1`);
  const [toReal] = await dialled;
  t.after(() => {
    fromReal.terminate();
    toReal.terminate();
    fake.close();
  });
  const send = (frame: FakeFrame) => toReal.send(messageOf(frame));
  send({ hop: 0, segment: 0, round: 0, generation, values: [], flags: FLAG_ACCEPT });
  return { link: await joining, toReal, fromReal, send };
}
