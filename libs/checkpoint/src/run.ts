/**
 * A run's directory:  run.json  checkpoints/  ledger/  incidents/  evaluations/  coordinator.json
 *
 * run.json holds what must never change during a run. It is written once, whole; later openings must bring the same.
 */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { firstDifference, type JsonValue } from './canonical-json.js';
import { createWhole, nodeFs, randomNonce, type DurableFs } from './durable-fs.js';
import { CheckpointError, isSystemError, messageOf, remedyFor, systemCode } from './errors.js';

export const RUN_FILE_NAME = 'run.json';
const FORMAT = 'lockstep-run';
const VERSION = 1;

/** run.json is a few kB; more than this is damage, not to be read into memory. */
const MAX_RUN_FILE_BYTES = 16 * 1024 * 1024;

const recordSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  runId: z.string().min(1),
  seed: z.int().nonnegative(),
  dataDigest: z.string().min(1),
  dataset: z.strictObject({ count: z.int().positive(), classNames: z.array(z.string()) }).optional(),
  config: z.json(),
  createdAt: z.int().nonnegative(),
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
  /** Only what decides the weights; what may differ on resume (ports, number of steps) stays out. */
  readonly config: JsonValue;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
};

export type RunPaths = {
  readonly root: string;
  readonly checkpoints: string;
  readonly ledger: string;
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
    incidents: join(root, 'incidents'),
    evaluations: join(root, 'evaluations'),
    address: join(root, 'coordinator.json'),
  };
}

/**
 * Creates the run in `root`, or opens the one that is there if its seed, dataDigest and config are those of `proposal`.
 * An existing run keeps its own runId and createdAt. `meaning` says what a stored config means today, if it was written by an
 * older version.
 * @throws CheckpointError E_RUN_CONFLICT naming the first key that differs, E_RUN_READ, E_RUN_CORRUPT, E_RUN_WRITE.
 */
export async function openRun(
  root: string,
  proposal: RunRecord,
  options: {
    readonly disk?: DurableFs;
    readonly nonce?: () => string;
    readonly meaning?: (config: JsonValue) => JsonValue;
  } = {},
): Promise<OpenedRun> {
  const disk = options.disk ?? nodeFs;
  const paths = runPaths(root);
  let created: boolean;
  try {
    for (const folder of [paths.root, paths.checkpoints, paths.ledger]) await disk.makeFolder(folder);
    const text = `${JSON.stringify({ format: FORMAT, version: VERSION, ...proposal }, null, 2)}\n`;
    created = await createWhole(
      disk,
      root,
      RUN_FILE_NAME,
      [Buffer.from(text, 'utf8')],
      (options.nonce ?? randomNonce)(),
    );
    await disk.syncFolder(dirname(root));
  } catch (error) {
    throw new CheckpointError(
      'E_RUN_WRITE',
      `the run directory ${root} cannot be set up: ${messageOf(error)}; ${remedyFor(error)}.`,
      { cause: error },
    );
  }
  const stored = await readRun(root, { disk });
  const record = { ...stored, config: options.meaning?.(stored.config) ?? stored.config };
  for (const key of ['seed', 'dataDigest', 'config'] as const) {
    const difference = firstDifference(record[key], proposal[key], key);
    if (difference) {
      const shown = (value: JsonValue | undefined): string => (value === undefined ? 'absent' : JSON.stringify(value));
      throw new CheckpointError(
        'E_RUN_CONFLICT',
        `${difference.path} is ${shown(difference.stored)} in ${join(root, RUN_FILE_NAME)} but ${shown(difference.given)} was asked for; ` +
          'resume with the same value, or choose a new directory.',
      );
    }
  }
  return { record, paths, created };
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
    if (systemCode(error) === 'ENOENT')
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
  const { runId, seed, dataDigest, dataset, config, createdAt } = result.data;
  return { runId, seed, dataDigest, ...(dataset === undefined ? {} : { dataset }), config, createdAt };
}
