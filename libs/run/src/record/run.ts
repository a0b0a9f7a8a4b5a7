/**
 * A run's directory:  run.json  checkpoints/  ledger/  origin/  incidents/  evaluations/  coordinator.json
 *
 * run.json holds what must never change during a run. It is written once, whole, and last: a folder without it holds no run.
 */
import { lstat, readlink, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { isSystemError, messageOf, remedyFor, systemCode } from '@lockstep/base';
import type { JsonValue } from '../canonical-json.js';
import { createWhole, nodeFs, randomNonce, type DurableFs } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import { originSchema, type Origin } from '../ledger/ledger-records.js';

export const RUN_FILE_NAME = 'run.json';
const FORMAT = 'lockstep-run';
/** Version 2 may say of its arithmetic and engine what a reader of version 1 would pass over, and compute other bits. */
const VERSION = 2;

/** run.json is a few kB; more than this is damage, not to be read into memory. */
const MAX_RUN_FILE_BYTES = 16 * 1024 * 1024;

const recordSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal([1, VERSION]),
  runId: z.string().min(1),
  seed: z.int().nonnegative(),
  dataDigest: z.string().min(1),
  dataset: z.strictObject({ count: z.int().positive(), classNames: z.array(z.string()) }).optional(),
  config: z.json(),
  createdAt: z.int().nonnegative(),
  origin: originSchema.optional(),
});

/** What the training data was when the run began, for people: it is not compared on resume, the digest is. */
export type DatasetDescription = {
  /** Samples. */
  readonly count: number;
  /** [classes] what each class is called in the data, by label. */
  readonly classNames: readonly string[];
};

export type RunRecord = {
  readonly runId: string;
  readonly seed: number;
  /** Digest of the training data, as libs/diffusion computes it. */
  readonly dataDigest: string;
  /** Runs of older versions have none. */
  readonly dataset?: DatasetDescription;
  /** What decides the weights, and where the data was; what may differ on resume stays out. */
  readonly config: JsonValue;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** The state of another run that it starts from, kept in origin/; left out: it starts from its seed. */
  readonly origin?: Origin;
};

export type RunPaths = {
  readonly root: string;
  readonly checkpoints: string;
  readonly ledger: string;
  /** The state of another run that this one starts from: see origin.ts. */
  readonly origin: string;
  /** States kept for replay: never pruned. */
  readonly incidents: string;
  /** What was found of checkpoints' samples: see evaluation.ts. */
  readonly evaluations: string;
  /** File with the coordinator's address: see address.ts. */
  readonly address: string;
};

export type OpenedRun = { readonly record: RunRecord; readonly paths: RunPaths; readonly created: boolean };

/** Where things lie in the run directory `root`. */
export function runPaths(root: string): RunPaths {
  return {
    root,
    checkpoints: join(root, 'checkpoints'),
    ledger: join(root, 'ledger'),
    origin: join(root, 'origin'),
    incidents: join(root, 'incidents'),
    evaluations: join(root, 'evaluations'),
    address: join(root, 'coordinator.json'),
  };
}

/**
 * Makes a run's folders where they are missing.
 * @throws CheckpointError E_RUN_WRITE saying what is in the way.
 */
export async function makeRunFolders(root: string, disk: DurableFs = nodeFs): Promise<RunPaths> {
  const paths = runPaths(root);
  for (const folder of [paths.root, paths.checkpoints, paths.ledger]) {
    try {
      await disk.makeFolder(folder);
    } catch (error) {
      throw new CheckpointError(
        'E_RUN_WRITE',
        `the run directory ${root} cannot be set up: ${await obstacle(folder, error)}`,
        { cause: error },
      );
    }
  }
  return paths;
}

/** What keeps a folder from being made, and what to do. */
async function obstacle(folder: string, error: unknown): Promise<string> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    const found = await lstat(path).catch(() => null);
    if (found?.isSymbolicLink() === true && (await stat(path).catch(() => null)) === null)
      return `${path} is a link to ${await readlink(path)}, which is not there; make that folder, or choose another --out.`;
    if (found?.isFile() === true) return `${path} is a file; choose another --out, or move it away.`;
    if (found !== null || path === dirname(path)) break;
  }
  return `${messageOf(error)}; ${remedyFor(error)}, or choose another --out.`;
}

/**
 * Creates the run in `root` as proposed, unless there is one: that one is opened as it is, and keeps its own record.
 * @throws CheckpointError E_RUN_READ, E_RUN_CORRUPT, E_RUN_WRITE.
 */
export async function openRun(
  root: string,
  proposal: RunRecord,
  options: { readonly disk?: DurableFs; readonly nonce?: () => string } = {},
): Promise<OpenedRun> {
  const disk = options.disk ?? nodeFs;
  const paths = await makeRunFolders(root, disk);
  const text = `${JSON.stringify({ format: FORMAT, version: VERSION, ...proposal }, null, 2)}\n`;
  const chunks = [Buffer.from(text, 'utf8')];
  let created: boolean;
  try {
    created = await createWhole(disk, root, RUN_FILE_NAME, chunks, (options.nonce ?? randomNonce)());
    await disk.syncFolder(dirname(root));
  } catch (error) {
    throw new CheckpointError(
      'E_RUN_WRITE',
      `${join(root, RUN_FILE_NAME)} cannot be written: ${messageOf(error)}; ${remedyFor(error)}, or choose another --out.`,
      { cause: error },
    );
  }
  return { record: await readRun(root, { disk }), paths, created };
}

/** The record of the run in `root`, or null if there is no run. @throws CheckpointError E_RUN_READ, E_RUN_CORRUPT. */
export async function findRun(root: string): Promise<RunRecord | null> {
  try {
    return await readRun(root);
  } catch (error) {
    if (error instanceof CheckpointError && error.code === 'E_RUN_MISSING') return null;
    throw error;
  }
}

/** The record of an existing run. @throws CheckpointError E_RUN_MISSING, E_RUN_READ, E_RUN_CORRUPT. */
export async function readRun(root: string, options: { readonly disk?: DurableFs } = {}): Promise<RunRecord> {
  const disk = options.disk ?? nodeFs;
  const path = join(root, RUN_FILE_NAME);
  let json: unknown;
  try {
    if ((await disk.sizeOf(path)) > MAX_RUN_FILE_BYTES)
      throw new Error(`it is larger than ${MAX_RUN_FILE_BYTES} bytes`);
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await disk.read(path)));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? ''))
      throw new CheckpointError('E_RUN_MISSING', `${root} holds no ${RUN_FILE_NAME}; check the path.`, {
        cause: error,
      });
    if (isSystemError(error))
      throw new CheckpointError('E_RUN_READ', `${path} cannot be read: ${messageOf(error)}; ${remedyFor(error)}.`, {
        cause: error,
      });
    throw new CheckpointError(
      'E_RUN_CORRUPT',
      `${path} cannot be understood: ${messageOf(error)}; restore it or start in a new directory.`,
      { cause: error },
    );
  }
  const result = recordSchema.safeParse(json);
  if (!result.success) {
    throw new CheckpointError(
      'E_RUN_CORRUPT',
      `${path} is not valid: ${z.prettifyError(result.error)}; restore it or start in a new directory.`,
    );
  }
  const { runId, seed, dataDigest, dataset, config, createdAt, origin } = result.data;
  const optional = { ...(dataset !== undefined && { dataset }), ...(origin !== undefined && { origin }) };
  return { runId, seed, dataDigest, config, createdAt, ...optional };
}
