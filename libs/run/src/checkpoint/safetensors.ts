/**
 * The safetensors file format (huggingface/safetensors, README "Format"):
 *
 *   N       8 bytes, little-endian unsigned: length of the header
 *   header  N bytes of UTF-8 JSON, first byte "{", padded with spaces so that the data begins on 8 bytes:
 *           { name: { dtype, shape, data_offsets: [begin, end] }, "__metadata__": { string: string } }
 *   data    the tensors, C order, little-endian, back to back; offsets count from here and leave no holes
 *
 * Only F32 is written or read: a training state has nothing else.
 */
import { z } from 'zod';
import { messageOf } from '@lockstep/base';
import { CheckpointError } from '../errors.js';
import { BYTES_PER_FLOAT, bytesOf, floatsAt } from './float-bytes.js';
import { duplicateKey } from './json-keys.js';

/** The reference implementation's limit (MAX_HEADER_SIZE): guards against a length field that asks for all memory. */
export const MAX_HEADER_BYTES = 100_000_000;

const LENGTH_BYTES = 8;
const ALIGNMENT = 8;
const METADATA_KEY = '__metadata__';

export type SafetensorsEntry = {
  readonly name: string;
  readonly dtype: 'F32';
  readonly shape: readonly number[];
  readonly data: Float32Array;
};

export type SafetensorsFile = {
  /** By name, in the order in which the tensors lie in the file. */
  readonly tensors: ReadonlyMap<string, Omit<SafetensorsEntry, 'name'>>;
  readonly metadata: Readonly<Record<string, string>>;
};

/**
 * A safetensors file as chunks to write one after another: the header, then each tensor's own memory (not copied, so it
 * must not change until it is written). Tensors lie in the order given.
 * @throws CheckpointError E_SAFETENSORS_ENTRY for a reserved or repeated name, or a shape that contradicts the data.
 */
export function encodeSafetensors(
  entries: readonly SafetensorsEntry[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  const members: string[] = [];
  if (Object.keys(metadata).length > 0) members.push(`${JSON.stringify(METADATA_KEY)}:${JSON.stringify(metadata)}`);
  const names = new Set([METADATA_KEY]);
  let offset = 0;
  for (const { name, dtype, shape, data } of entries) {
    if (names.has(name))
      refuseEntry(`the tensor name ${JSON.stringify(name)} is reserved or used twice; rename the tensor.`);
    // A lone surrogate has no UTF-8 form: other readers would refuse the whole file.
    if (Buffer.from(name, 'utf8').toString('utf8') !== name)
      refuseEntry(`the tensor name ${JSON.stringify(name)} is not valid Unicode; rename the tensor.`);
    if (!shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0) || elementCount(shape) !== data.length) {
      refuseEntry(
        `tensor ${JSON.stringify(name)} has shape [${shape.join(', ')}] but ${data.length} elements; pass the true shape.`,
      );
    }
    names.add(name);
    const end = offset + data.byteLength;
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    offset = end;
  }
  const json = Buffer.from(`{${members.join(',')}}`, 'utf8');
  const padded = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  if (padded > MAX_HEADER_BYTES)
    refuseEntry(`the header would take ${padded} bytes, above ${MAX_HEADER_BYTES}; store fewer tensors a file.`);
  const header = Buffer.alloc(LENGTH_BYTES + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded), 0);
  json.copy(header, LENGTH_BYTES);
  return [header, ...entries.map(({ data }) => bytesOf(data))];
}

const tensorInfo = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().nonnegative()),
  data_offsets: z.tuple([z.int().nonnegative(), z.int().nonnegative()]),
});
/** Pairs, as zod's own objects leave out a key "__proto__", which is a key like others in JSON. */
const metadataInfo = z
  .custom<object>((value) => typeof value === 'object' && value !== null && !Array.isArray(value))
  .transform((object): unknown[] => Object.entries(object))
  .pipe(z.array(z.tuple([z.string(), z.string()])));

/**
 * Reads a whole safetensors file. Tensors are views into `bytes` where its alignment allows, else copies.
 * @throws CheckpointError E_SAFETENSORS_HEADER, E_SAFETENSORS_DUPLICATE, E_SAFETENSORS_DTYPE or E_SAFETENSORS_LAYOUT.
 */
export function decodeSafetensors(bytes: Uint8Array): SafetensorsFile {
  const dataStart = LENGTH_BYTES + headerLength(bytes);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart));
  let metadata: Record<string, string> = {};
  const spans: { name: string; shape: number[]; begin: number; end: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA_KEY) {
      metadata = Object.fromEntries(checked(metadataInfo, value, name));
      continue;
    }
    const info = checked(tensorInfo, value, name);
    if (info.dtype !== 'F32') {
      throw new CheckpointError(
        'E_SAFETENSORS_DTYPE',
        `tensor ${JSON.stringify(name)} has dtype ${info.dtype}; only F32 is read. Convert the file.`,
      );
    }
    const [begin, end] = info.data_offsets;
    if (end - begin !== elementCount(info.shape) * BYTES_PER_FLOAT) {
      refuseLayout(
        `tensor ${JSON.stringify(name)} spans ${end - begin} bytes but its shape is [${info.shape.join(', ')}]`,
      );
    }
    spans.push({ name, shape: info.shape, begin, end });
  }
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const tensors = new Map<string, Omit<SafetensorsEntry, 'name'>>();
  let offset = 0;
  for (const { name, shape, begin, end } of spans) {
    if (begin !== offset) {
      const wrong = begin < offset ? 'overlaps the tensor before it' : 'leaves a hole before it';
      refuseLayout(`tensor ${JSON.stringify(name)} at bytes ${begin}..${end} ${wrong} (expected ${offset})`);
    }
    if (dataStart + end > bytes.length) {
      refuseLayout(
        `tensor ${JSON.stringify(name)} ends at byte ${end}, but the file holds ${bytes.length - dataStart} bytes of data`,
      );
    }
    tensors.set(name, { dtype: 'F32', shape, data: floatsAt(bytes, dataStart + begin, elementCount(shape)) });
    offset = end;
  }
  if (dataStart + offset !== bytes.length)
    refuseLayout(`${bytes.length - dataStart - offset} bytes follow the last tensor`);
  return { tensors, metadata };
}

function headerLength(bytes: Uint8Array): number {
  if (bytes.length < LENGTH_BYTES) refuseHeader(`the file has ${bytes.length} bytes, too few for a header`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    refuseHeader(`the header claims ${length} bytes, above the limit of ${MAX_HEADER_BYTES}`);
  if (LENGTH_BYTES + Number(length) > bytes.length)
    refuseHeader(`the header claims ${length} bytes, the file has ${bytes.length}`);
  return Number(length);
}

function parseHeader(bytes: Uint8Array): object {
  let text: string;
  let header: unknown;
  try {
    // ignoreBOM keeps a byte order mark in the text, where the check for "{" refuses it.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    return refuseHeader(`the header is not JSON: ${messageOf(error)}`, error);
  }
  if (!text.startsWith('{') || typeof header !== 'object' || header === null)
    return refuseHeader('the header must begin with "{"');
  const twice = duplicateKey(text);
  if (twice !== undefined) {
    throw new CheckpointError(
      'E_SAFETENSORS_DUPLICATE',
      `the header names ${JSON.stringify(twice)} twice; take the file from another checkpoint.`,
    );
  }
  return header;
}

function checked<T>(schema: z.ZodType<T>, value: unknown, name: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  return refuseHeader(`header entry ${JSON.stringify(name)} is wrong: ${z.prettifyError(result.error)}`);
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

function refuseEntry(what: string): never {
  throw new CheckpointError('E_SAFETENSORS_ENTRY', what);
}

function refuseHeader(what: string, cause?: unknown): never {
  throw new CheckpointError('E_SAFETENSORS_HEADER', `${what}; take the file from another checkpoint.`, { cause });
}

function refuseLayout(what: string): never {
  throw new CheckpointError('E_SAFETENSORS_LAYOUT', `${what}; take the file from another checkpoint.`);
}
