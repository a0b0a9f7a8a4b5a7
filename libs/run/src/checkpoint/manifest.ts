/** manifest.json: what a checkpoint folder holds and how to tell that it is whole. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ARITHMETICS, FIRST_ARITHMETIC, messageOf, type Arithmetic } from '@lockstep/base';
import { canonicalJson, type JsonValue } from '../canonical-json.js';
import { CheckpointError } from '../errors.js';

export const MANIFEST_NAME = 'manifest.json';
const FORMAT = 'lockstep-checkpoint';
const VERSION = 1;

/** A manifest is a few kB; more than this is damage, not to be read into memory. */
export const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits');
const fileSchema = z.strictObject({ name: z.string(), bytes: z.int().nonnegative(), sha256: sha256Hex });
const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  runId: z.string().min(1),
  step: z.int().nonnegative(),
  generation: z.int().nonnegative().optional(),
  stateDigest: sha256Hex,
  arithmetic: z.literal(ARITHMETICS).optional(),
  files: z.array(fileSchema),
  model: z.json(),
  createdAt: z.int().nonnegative(),
  manifestSha256: sha256Hex,
});

export type ManifestFile = { readonly name: string; readonly bytes: number; readonly sha256: string };

export type Manifest = {
  readonly runId: string;
  /** Number of optimiser updates in the state. */
  readonly step: number;
  /** Membership under which the step was committed, where the publisher knows it. */
  readonly generation?: number;
  /** stateDigest() of the state, in the arithmetic of `arithmeticOf`. */
  readonly stateDigest: string;
  /** Of the run; left out in those of arithmetic 1, as in older ones. */
  readonly arithmetic?: Arithmetic;
  readonly files: readonly ManifestFile[];
  /** The model's config, opaque here: whoever samples hands it to libs/diffusion. */
  readonly model: JsonValue;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
};

/** Which arithmetic the digest of a manifest's state is of. */
export function arithmeticOf({ arithmetic = FIRST_ARITHMETIC }: Pick<Manifest, 'arithmetic'>): Arithmetic {
  return arithmetic;
}

/** sha256, 64 hex digits, of the joined chunks. */
export function sha256Of(chunks: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * The bytes of manifest.json: indented JSON that carries a sha256 over its own canonical form, so that a flipped bit in
 * it is found too.
 * @throws CheckpointError E_JSON_VALUE when `model` has no JSON form.
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const body: { readonly [key: string]: JsonValue } = { format: FORMAT, version: VERSION, ...manifest };
  return Buffer.from(
    `${JSON.stringify({ ...body, manifestSha256: sha256Of([canonicalJson(body)]) }, null, 2)}\n`,
    'utf8',
  );
}

/** @throws CheckpointError E_CHECKPOINT_CORRUPT when the bytes are not a whole manifest of this version. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const { format, version, manifestSha256, generation, arithmetic, ...manifest } = parse(bytes);
  const rest = {
    ...manifest,
    ...(generation !== undefined && { generation }),
    ...(arithmetic !== undefined && { arithmetic }),
  };
  if (sha256Of([canonicalJson({ format, version, ...rest })]) !== manifestSha256) {
    throw new CheckpointError(
      'E_CHECKPOINT_CORRUPT',
      `${MANIFEST_NAME} does not match its own sha256; use an older checkpoint.`,
    );
  }
  return rest;
}

function parse(bytes: Uint8Array): z.infer<typeof manifestSchema> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new CheckpointError(
      'E_CHECKPOINT_CORRUPT',
      `${MANIFEST_NAME} is not JSON (${messageOf(error)}); use an older checkpoint.`,
      { cause: error },
    );
  }
  const result = manifestSchema.safeParse(json);
  if (!result.success) {
    throw new CheckpointError(
      'E_CHECKPOINT_CORRUPT',
      `${MANIFEST_NAME} is not valid (${z.prettifyError(result.error)}); use an older checkpoint.`,
    );
  }
  return result.data;
}
