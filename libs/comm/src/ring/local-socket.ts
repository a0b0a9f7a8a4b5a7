/**
 * Neighbours on one host need no TCP between them: a worker listens on a Unix domain socket too, and its successor dials that
 * first. A byte costs about half the processor's time there, which is what bounds a ring whose members share their cores.
 *
 * The socket has a name in Linux's abstract namespace, not a file: nothing is left behind by a worker that is killed, and, as
 * each network namespace has names of its own, a worker on another host or in another container finds nobody under it and dials
 * TCP. Names are random, so that nobody else, not even the same worker started anew, is ever found under one.
 */
import { randomBytes } from 'node:crypto';

/** What lies under a ring's WebSocket. */
export type Transport = 'local' | 'tcp';

/** 128 random bits in hex. */
export const LOCAL_NAME = /^[0-9a-f]{32}$/;
const NAME_BYTES = 16;

/** A name that nobody else has, or null where there are no abstract names. */
export function newLocalName(platform: NodeJS.Platform = process.platform): string | null {
  return platform === 'linux' ? randomBytes(NAME_BYTES).toString('hex') : null;
}

/** Where the socket of that name is, as net's `path`: the zero in front makes it abstract. */
export function localPath(name: string): string {
  return `\0lockstep-${name}`;
}
