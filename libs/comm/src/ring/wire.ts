/**
 * Data frames: what one WebSocket message between two neighbours of the ring holds. Little-endian, 24 bytes of header, then
 * `count` raw int32 or int16.
 *
 *   offset 0  u32  magic "LSRG"
 *          4  u8   version
 *          5  u8   flags: bit 0 ACCEPT (the server's first frame: "you are my successor in this generation"; no payload),
 *                  bit 1 INT16 (so are the elements; else int32)
 *          6  u16  hop
 *          8  u32  generation
 *         12  u32  round
 *         16  u32  segment
 *         20  u32  count of elements
 */
import { endianness } from 'node:os';
import { WireError } from '../errors.js';
import { SEGMENT_BYTES } from './ring.js';
import { WIRE_BYTES, type Wire } from '@lockstep/exact';

export const WIRE_MAGIC = 0x4752_534c;
/** Raised whenever the meaning of a frame changes: two versions never share a ring. */
export const WIRE_VERSION = 3;
export const HEADER_BYTES = 24;
/** The largest frame: a full segment. ws refuses a peer that announces more. */
export const MAX_FRAME_BYTES = HEADER_BYTES + SEGMENT_BYTES;
export const FLAG_ACCEPT = 1;
const FLAG_INT16 = 2;

const U32_MAX = 0xffff_ffff;
const U16_MAX = 0xffff;

/** All fields of a frame but its payload. */
export type FrameHeader = {
  /** FLAG_ACCEPT or 0. */
  readonly flags: number;
  /** What the elements are. */
  readonly wire: Wire;
  readonly hop: number;
  readonly generation: number;
  /** Number of the all-reduce. */
  readonly round: number;
  readonly segment: number;
  /** Elements in the payload. */
  readonly count: number;
};

/** Throws E_WIRE_BYTE_ORDER on a big-endian machine, where raw payloads would be swapped. */
export function requireLittleEndian(order: 'LE' | 'BE' = endianness()): void {
  if (order !== 'LE') {
    throw new WireError(
      'E_WIRE_BYTE_ORDER',
      'payloads are raw little-endian integers; run workers on little-endian machines',
    );
  }
}

/** Length of WebSocket's own header of an unmasked message (RFC 6455 section 5.2). */
function prefixOf(messageBytes: number): 2 | 4 | 10 {
  if (messageBytes < 126) return 2;
  return messageBytes <= U16_MAX ? 4 : 10;
}

/**
 * The bytes to write to the socket before the payload: a WebSocket frame header (RFC 6455 section 5.2: one unmasked,
 * unfragmented binary message, as a server sends) and the data frame's header. The payload itself is written as a buffer
 * of its own, so it is never copied; ws' own `send` takes only one buffer, or fragments.
 * Throws E_WIRE_FIELD.
 */
export function encodeMessage(header: FrameHeader): Buffer {
  checkField('flags', header.flags, FLAG_ACCEPT);
  checkField('hop', header.hop, U16_MAX);
  checkField('generation', header.generation, U32_MAX);
  checkField('round', header.round, U32_MAX);
  checkField('segment', header.segment, U32_MAX);
  checkField('count', header.count, SEGMENT_BYTES / WIRE_BYTES[header.wire]);
  const messageBytes = HEADER_BYTES + header.count * WIRE_BYTES[header.wire];
  const prefix = prefixOf(messageBytes);
  const head = Buffer.allocUnsafe(prefix + HEADER_BYTES);
  head[0] = 0x82;
  if (prefix === 2) head[1] = messageBytes;
  else if (prefix === 4) {
    head[1] = 126;
    head.writeUInt16BE(messageBytes, 2);
  } else {
    head[1] = 127;
    head.writeUInt32BE(0, 2);
    head.writeUInt32BE(messageBytes, 6);
  }
  head.writeUInt32LE(WIRE_MAGIC, prefix);
  head[prefix + 4] = WIRE_VERSION;
  head[prefix + 5] = header.flags | (header.wire === 'int16' ? FLAG_INT16 : 0);
  head.writeUInt16LE(header.hop, prefix + 6);
  head.writeUInt32LE(header.generation, prefix + 8);
  head.writeUInt32LE(header.round, prefix + 12);
  head.writeUInt32LE(header.segment, prefix + 16);
  head.writeUInt32LE(header.count, prefix + 20);
  return head;
}

function checkField(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new WireError('E_WIRE_FIELD', `${name} ${value} is not an integer in 0..${max}; it cannot be sent`);
  }
}

/** A WebSocket frame's first bytes: how many they are, and the length of the message. */
export type FramePrefix = { readonly bytes: number; readonly messageBytes: number };

/**
 * Reads the prefix of an unmasked frame, whose first byte is known, from bytes [from, to).
 * 'more' if it is not there whole; null if the frame is masked, or longer than a u32 can say.
 */
export function framePrefix(bytes: Buffer, from: number, to: number): FramePrefix | 'more' | null {
  const length = bytes[from + 1];
  if (length < 126) return { bytes: 2, messageBytes: length };
  if (length > 127) return null;
  if (length === 126) return to - from < 4 ? 'more' : { bytes: 4, messageBytes: bytes.readUInt16BE(from + 2) };
  if (to - from < 10) return 'more';
  return bytes.readUInt32BE(from + 2) === 0 ? { bytes: 10, messageBytes: bytes.readUInt32BE(from + 6) } : null;
}

/**
 * Reads the header of a message of so many bytes.
 * Throws WireError: E_WIRE_SHORT, E_WIRE_MAGIC, E_WIRE_VERSION, E_WIRE_FLAGS, E_WIRE_LENGTH.
 */
export function decodeHeader(header: Buffer, messageBytes: number): FrameHeader {
  if (messageBytes < HEADER_BYTES) {
    throw new WireError(
      'E_WIRE_SHORT',
      `a frame of ${messageBytes} bytes, the header alone has ${HEADER_BYTES}; is the peer a worker?`,
    );
  }
  const magic = header.readUInt32LE(0);
  if (magic !== WIRE_MAGIC) {
    throw new WireError('E_WIRE_MAGIC', `a frame starts with 0x${magic.toString(16)}; is the peer a worker?`);
  }
  if (header[4] !== WIRE_VERSION) {
    throw new WireError(
      'E_WIRE_VERSION',
      `the peer speaks version ${header[4]}, this worker ${WIRE_VERSION}; run one version`,
    );
  }
  const bits = header[5];
  if (bits > (FLAG_ACCEPT | FLAG_INT16))
    throw new WireError('E_WIRE_FLAGS', `unknown flags ${bits}; run one version of Lockstep`);
  const wire = (bits & FLAG_INT16) === 0 ? 'int32' : 'int16';
  const count = header.readUInt32LE(20);
  const payloadBytes = messageBytes - HEADER_BYTES;
  if (payloadBytes !== count * WIRE_BYTES[wire]) {
    throw new WireError(
      'E_WIRE_LENGTH',
      `the header says ${count} ${wire}, ${payloadBytes} bytes follow; the frame is damaged`,
    );
  }
  return {
    flags: bits & FLAG_ACCEPT,
    wire,
    hop: header.readUInt16LE(6),
    generation: header.readUInt32LE(8),
    round: header.readUInt32LE(12),
    segment: header.readUInt32LE(16),
    count,
  };
}
