/** A process's end of the channel to the one that measures (ring-group.ts). */
import { once } from 'node:events';
import { STOP } from './orders.js';

/** Says something to the parent. Throws in a process that has none. */
export function tellParent(message: unknown): void {
  if (process.send === undefined) throw new Error('this program is one of those that ring.ts starts');
  process.send(message);
}

/** The next order; null: there are no more. */
export async function nextOrder(): Promise<unknown> {
  const [message] = (await once(process, 'message')) as readonly unknown[];
  return message === STOP ? null : message;
}
