/** Flips a bit of a worker's weights from outside, through /proc: what a cosmic ray does, as far as the worker can tell. */
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { decodeState } from '@lockstep/run';
import { Skipped } from './fault.js';
import { LOCAL } from './local.js';

/** Byte 24 of an encoded state: the number of parameters (libs/run, `encodeState`). */
const LENGTH_OFFSET = 24;
/** Enough of the weights to be found nowhere else by chance. Bytes. */
const NEEDLE_BYTES = 64;
/** Larger mappings hold no weights of the tiny network. Bytes. */
const MAX_MAPPING_BYTES = 256 * 1024 * 1024;
/** Bit 22 of a float32 is the highest of its fraction: a change that no rounding hides. Little-endian: byte 2, bit 6. */
const BYTE_OF_FLOAT = 2;
const BIT = 0x40;

/** The weights that the worker at `port` holds, as bytes; null if its step was over before it answered. */
async function weightsOf(port: number, step: number): Promise<Buffer | null> {
  const response = await fetch(`http://${LOCAL}:${port}/state/${step}`);
  const body = Buffer.from(await response.arrayBuffer());
  if (!response.ok) return null;
  const { weights } = decodeState(body, Number(body.readBigUInt64LE(LENGTH_OFFSET)));
  return Buffer.from(weights.buffer, weights.byteOffset, weights.byteLength);
}

/** Where `bytes` lie in the writable anonymous memory of a process. */
function addressesOf(memory: number, pid: number, bytes: Buffer): number[] {
  const found: number[] = [];
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const [, from = '', to = '', inode = ''] = /^([0-9a-f]+)-([0-9a-f]+) rw\S+ \S+ \S+ (\d+)/.exec(line) ?? [];
    const start = parseInt(from, 16);
    const length = parseInt(to, 16) - start;
    if (inode !== '0' || !(length >= bytes.length && length <= MAX_MAPPING_BYTES)) continue;
    const content = Buffer.alloc(length);
    try {
      if (readSync(memory, content, 0, length, start) < length) continue;
    } catch {
      // Some mappings cannot be read; the weights' can.
      continue;
    }
    const needle = bytes.subarray(0, NEEDLE_BYTES);
    for (let at = content.indexOf(needle); at >= 0; at = content.indexOf(needle, at + 1))
      if (content.subarray(at, at + bytes.length).equals(bytes)) found.push(start + at);
  }
  return found;
}

/** The worker whose memory it is, and the number of a step that it has lately begun. */
export interface Victim {
  readonly pid: number;
  readonly port: number;
  readonly step: () => number;
  /** Stop its process, and let it go on. */
  readonly freeze: () => void;
  readonly thaw: () => void;
}

/**
 * Flips one bit in the middle of the weights, in each copy of them that the process holds, while nobody lets the run go on: the weights
 * that the worker tells are then those that are found, as soon as it has done what it was told before.
 * @throws Skipped if the system does not let this process write there; Error if the worker has ended
 */
export async function flipWeightBit({ pid, port, step, freeze, thaw }: Victim): Promise<void> {
  let memory: number;
  try {
    memory = openSync(`/proc/${pid}/mem`, 'r+');
  } catch (error) {
    throw new Skipped(`the memory of a worker cannot be written: ${error instanceof Error ? error.message : ''}`);
  }
  try {
    for (;;) {
      // Told to apply the step under way, it may be one further.
      const weights = (await weightsOf(port, step() + 1)) ?? (await weightsOf(port, step()));
      if (weights === null) continue;
      freeze();
      const addresses = addressesOf(memory, pid, weights);
      const offset = 4 * (weights.length >> 3) + BYTE_OF_FLOAT;
      const flipped = Buffer.of(weights.readUInt8(offset) ^ BIT);
      for (const address of addresses) writeSync(memory, flipped, 0, 1, address + offset);
      thaw();
      if (addresses.length > 0) return;
    }
  } finally {
    thaw();
    closeSync(memory);
  }
}
