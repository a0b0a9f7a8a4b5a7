/**
 * Integer addition in WebAssembly: 16 bytes an instruction, where JavaScript adds one number after another (measured: 256 KiB
 * in 15 us against 82). It works on WebAssembly's own memory only, so what is to be added is read from the socket into that
 * memory, and the sum, which lies elsewhere, comes and goes in pieces that stay in the cache (34 us for 256 KiB).
 */

import { wireOf } from './wire-type.js';
import type { SumArray, Wire } from './wire-type.js';

type Add = (to: number, from: number, bytes: number) => void;
/** What is used of it, with the export of the module below; TypeScript has its types only together with a browser's. */
declare const WebAssembly: {
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: { readonly a: Add } };
};

/** Bytes of the sum that are in WebAssembly's memory at once: few enough for a core's own cache, and few views to be made. */
const PIECE_BYTES = 128 * 1024;
/** WebAssembly's memory comes in pages of that size. */
const PAGE_BYTES = 65_536;
/** Bytes that one turn of the loop adds. What is added is rounded up to it, so there is as much spare room at both ends. */
const TURN_BYTES = 64;

/** LEB128 of the numbers of i32x4.add, 174, and i16x8.add, 142, among the vector instructions. */
const VECTOR_ADD: Readonly<Record<Wire, readonly number[]>> = { int32: [0xae, 0x01], int16: [0x8e, 0x01] };
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_CONST = 0x41;
const [TO, FROM, BYTES] = [0, 1, 2];

/** memory[to + offset ..] += memory[from + offset ..], one vector; memory arguments are (alignment, offset). */
const addVector = (wire: Wire, offset: number) => [
  ...[LOCAL_GET, TO],
  ...[LOCAL_GET, TO, 0xfd, 0x00, 0, offset],
  ...[LOCAL_GET, FROM, 0xfd, 0x00, 0, offset],
  ...[0xfd, ...VECTOR_ADD[wire]],
  ...[0xfd, 0x0b, 0, offset],
];
/** 64 as a signed LEB128. */
const TURN = [0xc0, 0x00];
const bodyOf = (wire: Wire) => [
  0, // no locals
  ...[0x03, 0x40], // loop
  ...[0, 16, 32, 48].flatMap((offset) => addVector(wire, offset)),
  ...[LOCAL_GET, TO, I32_CONST, ...TURN, 0x6a, LOCAL_SET, TO],
  ...[LOCAL_GET, FROM, I32_CONST, ...TURN, 0x6a, LOCAL_SET, FROM],
  ...[LOCAL_GET, BYTES, I32_CONST, ...TURN, 0x6b, LOCAL_TEE, BYTES],
  ...[I32_CONST, 0, 0x4a, 0x0d, 0], // again while bytes > 0
  ...[0x0b, 0x0b],
];
const section = (id: number, content: readonly number[]) => [id, content.length, ...content];
const LETTER_M = 0x6d;
const LETTER_A = 0x61;

/** The module "a(to, from, bytes)" over the imported memory "m" "m". */
const moduleOf = (wire: Wire) => {
  const body = bodyOf(wire);
  return new WebAssembly.Module(
    Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, [1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0]),
      ...section(2, [1, 1, LETTER_M, 1, LETTER_M, 2, 0, 1]),
      ...section(3, [1, 0]),
      ...section(7, [1, 1, LETTER_A, 0, 0]),
      ...section(10, [1, body.length, ...body]),
    ]),
  );
};
const MODULES: Readonly<Record<Wire, object>> = { int32: moduleOf('int32'), int16: moduleOf('int16') };

/** Memory to read into, from which can be added to arrays elsewhere. */
export class AddKernel {
  /** [bytes], to be read into. */
  readonly bytes: Buffer;
  /** Where the pieces of the sum go. */
  readonly #piece: number;
  readonly #pieces: Buffer;
  readonly #add: Readonly<Record<Wire, Add>>;

  constructor(bytes: number) {
    this.#piece = bytes + TURN_BYTES;
    const pages = Math.ceil((this.#piece + PIECE_BYTES + TURN_BYTES) / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const adding = (wire: Wire) => new WebAssembly.Instance(MODULES[wire], { m: { m: memory } }).exports.a;
    this.#add = { int32: adding('int32'), int16: adding('int16') };
    this.#pieces = Buffer.from(memory.buffer, this.#piece, PIECE_BYTES);
    this.bytes = Buffer.from(memory.buffer, 0, bytes);
  }

  /** sum += the integers that start at that byte of `bytes`, which need not be aligned. sum: [elements], all of them. */
  addTo(sum: SumArray, from: number): void {
    const add = this.#add[wireOf(sum)];
    for (let done = 0; done < sum.byteLength; done += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, sum.byteLength - done);
      const part = Buffer.from(sum.buffer, sum.byteOffset + done, length);
      const piece = length === PIECE_BYTES ? this.#pieces : this.#pieces.subarray(0, length);
      copyBytes(piece, part);
      add(this.#piece, from + done, length);
      copyBytes(part, piece);
    }
  }
}

/**
 * target = source, of equal length. V8's `set` goes byte by byte if one is shared and the two are not alike modulo 8 (256 KiB
 * in 115 us); Node's `fill` is memcpy at any alignment (12 us).
 */
export function copyBytes(target: Buffer, source: Buffer): void {
  if (source.length > 0) target.fill(source);
}
