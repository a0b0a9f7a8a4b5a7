/** What is said of memory that changed, and the sha256 by which gradients are compared between workers. */
import { createHash } from 'node:crypto';

/** Says that `what` is not any more what it was, as the event `corrupt` wants it. `before` and `now`: checksums or digests. */
export function changedInMemory(what: string, before: number | string, now: number | string): string {
  const hex = (mark: number | string): string =>
    typeof mark === 'string' ? mark.slice(0, 12) : mark.toString(16).padStart(8, '0');
  return `${what} changed in memory (${hex(before)} when made, ${hex(now)} now); check this machine's memory`;
}

/** sha256 of the array's bytes, 64 hex digits. */
export function digestOf(values: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');
}
