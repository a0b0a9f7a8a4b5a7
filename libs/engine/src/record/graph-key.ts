/**
 * By what a graph on disk is known: everything that decides its bytes, as one line of JSON. Two graphs that could differ must
 * never have the same key; a key that differs needlessly costs one recording.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JsonValue } from '@lockstep/base';
import type { Engine } from '../device/load.js';
import type { Stages } from './stages.js';
import type { TensorSpec } from './tensor-spec.js';

/**
 * What a function is, beyond the shapes of its inputs. The function must follow from these three and nothing else: a number
 * that it takes from anywhere but `parameters` and its code would not be in the key.
 */
export type FunctionIdentity = {
  /** Tells the functions of one library apart. */
  readonly name: string;
  /** All that the function was built from, such as the network's configuration. */
  readonly parameters: JsonValue;
  /** codeDigest of the library that builds the function, taken when its modules are loaded. */
  readonly code: string;
};

/**
 * sha256 over the names and contents of the JavaScript files below `folder` (a URL that ends with a slash).
 * Call it while the module is loaded, not later: by then another build may lie there than the one that runs.
 */
export function codeDigest(folder: URL): string {
  const path = fileURLToPath(folder);
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  return filesDigest(names.map((name) => [name, join(path, name)]));
}

/** Of this library, which records and writes the graph. */
const ENGINE_CODE = codeDigest(new URL('..', import.meta.url));

/** tfjs decides which ops a call becomes, and computes constants on the host; protobufjs writes the bytes. */
const PACKAGES = /node_modules\/((?:@tensorflow|protobufjs|long|seedrandom)\/.*)$/;

/** Of the files of tfjs and what it uses, as far as they are loaded, under node_modules: edited ones too. */
function packagesDigest(): string {
  const files = Object.keys(createRequire(import.meta.url).cache).flatMap((path): [string, string][] => {
    const name = PACKAGES.exec(path.replaceAll('\\', '/'))?.[1];
    return name === undefined ? [] : [[name, path]];
  });
  return filesDigest(files);
}

function filesDigest(files: [name: string, path: string][]): string {
  const hash = createHash('sha256');
  for (const [name, path] of files.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const content = readFileSync(path);
    hash.update(`${name}:${content.length}:`).update(content);
  }
  return hash.digest('hex');
}

/** Packages that decide what is recorded; no version of TensorFlow, which runs ops and does not choose them. */
const RECORDERS = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-node-gpu', 'protobufjs', 'seedrandom'];

/** Versions of what records, without loading it: a program is looked for before anything is loaded. */
function recorderVersions(): JsonValue {
  const require = createRequire(import.meta.url);
  return RECORDERS.map((name) => {
    const { version } = require(`${name}/package.json`) as { version: string };
    return `${name} ${version}`;
  });
}

/**
 * The key of the graph of a function on `specs`, by this engine. Example data counts, for an op may look at it. A program's key
 * does not name the machine: it is the same on all of them.
 */
export function graphKey(
  engine: Engine,
  identity: FunctionIdentity,
  specs: readonly TensorSpec[],
  stages?: Stages,
): string {
  const inputs = specs.map(({ shape, dtype, data }) => ({
    dtype,
    shape,
    data: data === undefined ? null : createHash('sha256').update(bytesOf(data)).digest('hex'),
  }));
  const common = { function: identity, inputs, stages: stages ?? null, native: engine.native, engineCode: ENGINE_CODE };
  if (engine.programs !== null) return canonicalJson({ ...common, engine: 'program', packages: recorderVersions() });
  return canonicalJson({
    ...common,
    engine: engine.identity,
    engineFolder: basename(engine.options.directory),
    packages: packagesDigest(),
  });
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * JSON with sorted keys, so that equal values have equal texts, and different values different ones.
 * @throws {TypeError} on numbers that JSON does not tell apart: NaN, infinities, negative zero
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    throw new TypeError(`${Object.is(value, -0) ? '-0' : value} has no JSON text of its own; write it as a string`);
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(canonicalJson).join()}]`;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  const texts = entries.flatMap(([name, item]) =>
    item === undefined ? [] : [`${JSON.stringify(name)}:${canonicalJson(item)}`],
  );
  return `{${texts.join()}}`;
}

function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
