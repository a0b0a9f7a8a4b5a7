/** The sha256 by which gradients are compared between workers, and a replay with its run. */
import { createHash } from 'node:crypto';

/** sha256 of the array's bytes, 64 hex digits. */
export function digestOf(values: Float32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');
}
