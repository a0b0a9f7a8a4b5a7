/**
 * Pictures one after another as an animated PNG (APNG, part of the PNG specification since its third edition): the chunks of
 * ordinary PNGs, put together anew. A viewer that knows no animation shows the last picture.
 *
 * acTL says how many frames there are, an fcTL before each how it is shown; a frame's data is IDAT in the picture that is shown
 * without animation, which need not be a frame, and fdAT in all others.
 */
import { crc32 } from 'node:zlib';

const SIGNATURE_BYTES = 8;
/** Length before a chunk's type, and CRC after its data. */
const [LENGTH_BYTES, TYPE_BYTES, CRC_BYTES] = [4, 4, 4];
const ENDLESSLY = 0;

interface Chunk {
  readonly type: string;
  readonly data: Buffer;
}

/** A picture and how long it is shown. */
export interface Frame {
  readonly png: Buffer;
  readonly milliseconds: number;
}

/**
 * The frames as one animated PNG.
 * @param frames PNGs of one size and colour type, at least one
 */
export function animatedPng(frames: readonly Frame[]): Buffer {
  const pictures = frames.map(({ png }) => chunksOf(png));
  const still = pictures.at(-1) ?? [];
  const header = dataOf(still, 'IHDR');
  const size = header.subarray(0, 8);
  let sequence = 0;
  const shown = frames.flatMap(({ milliseconds }, i) => [
    chunkBytes('fcTL', control(sequence++, size, milliseconds)),
    chunkBytes('fdAT', Buffer.concat([u32(sequence++), dataOf(pictures[i] ?? [], 'IDAT')])),
  ]);
  const signature = frames[0]?.png.subarray(0, SIGNATURE_BYTES) ?? Buffer.alloc(0);
  return Buffer.concat([
    signature,
    chunkBytes('IHDR', header),
    chunkBytes('acTL', Buffer.concat([u32(frames.length), u32(ENDLESSLY)])),
    chunkBytes('IDAT', dataOf(still, 'IDAT')),
    ...shown,
    chunkBytes('IEND', Buffer.alloc(0)),
  ]);
}

/** A frame of the whole picture, which replaces the one before. */
function control(sequence: number, size: Buffer, milliseconds: number): Buffer {
  const delay = Buffer.alloc(4);
  delay.writeUInt16BE(Math.round(milliseconds), 0);
  delay.writeUInt16BE(1000, 2);
  const [atOrigin, keepAndOverwrite] = [Buffer.alloc(8), Buffer.alloc(2)];
  return Buffer.concat([u32(sequence), size, atOrigin, delay, keepAndOverwrite]);
}

function chunksOf(png: Buffer): Chunk[] {
  const chunks: Chunk[] = [];
  for (let at = SIGNATURE_BYTES; at < png.length;) {
    const start = at + LENGTH_BYTES + TYPE_BYTES;
    const end = start + png.readUInt32BE(at);
    chunks.push({ type: png.toString('latin1', at + LENGTH_BYTES, start), data: png.subarray(start, end) });
    at = end + CRC_BYTES;
  }
  return chunks;
}

/** The data of all chunks of this type, one after another. */
function dataOf(chunks: readonly Chunk[], type: string): Buffer {
  return Buffer.concat(chunks.filter((chunk) => chunk.type === type).map(({ data }) => data));
}

function chunkBytes(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  return Buffer.concat([u32(data.length), named, u32(crc32(named))]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
