/** What run.json says of the training itself: one form for everybody who reads it, whichever version wrote it. */
import { z } from 'zod';
import {
  ARITHMETICS,
  ENGINES,
  FIRST_ARITHMETIC,
  FIRST_ENGINE,
  type Arithmetic,
  type EngineName,
  type JsonObject,
} from '@lockstep/base';
import { WIRES, type Wire } from '@lockstep/exact';
import { CheckpointError } from '../errors.js';
import type { RunRecord } from './run.js';

/** Which code is trained. */
export interface TaskReference {
  /** Name of a task that comes with Lockstep, or the absolute path of a file. */
  readonly module: string;
  /** What names its code: a digest of each file, or a version (libs/task, task-code.ts). */
  readonly code: Readonly<Record<string, string>>;
}

export interface StoredRun {
  readonly task: TaskReference;
  /** The preset whose recipe it began with; null where the task has none. */
  readonly preset: string | null;
  /** Where the data was when the run began; null where the task finds it by itself. */
  readonly data: string | null;
  readonly wire: Wire;
  readonly arithmetic: Arithmetic;
  readonly engine: EngineName;
  /** Optimiser updates in the whole run. */
  readonly steps: number;
  /** Samples a step. */
  readonly globalBatch: number;
  /** Samples a microbatch; divides globalBatch. */
  readonly microbatchSize: number;
  /** In the form of the task, which whoever reads it checks. */
  readonly recipe: JsonObject;
}

/** Before there were tasks all runs were of this one, in its first version. */
const FIRST_TASK: TaskReference = { module: 'diffusion', code: { version: '1' } };

const size = z.int().positive();
const sizes = { steps: size, globalBatch: size, microbatchSize: size };
/** Keys that came when there were runs already, all of which had what stands here as the default. */
const later = {
  arithmetic: z.literal(ARITHMETICS).default(FIRST_ARITHMETIC),
  engine: z.enum(ENGINES).default(FIRST_ENGINE),
};

const configSchema = z.object({
  task: z.strictObject({ module: z.string().min(1), code: z.record(z.string(), z.string()) }),
  preset: z.string().nullable(),
  data: z.string().min(1).nullable(),
  wire: z.enum(WIRES),
  ...later,
  ...sizes,
  recipe: z.record(z.string(), z.json()),
});

/** From before there were tasks. What came later than the first of them has as its default what was done before it. */
const olderSchema = z
  .object({
    preset: z.string(),
    data: z.string().min(1).default('mnist'),
    wire: z.enum(WIRES).default('int32'),
    ...later,
    recipe: z.looseObject(sizes).and(z.record(z.string(), z.json())),
  })
  .transform(({ recipe, ...config }) => {
    const { steps, globalBatch, microbatchSize } = recipe;
    return { task: FIRST_TASK, ...config, steps, globalBatch, microbatchSize, recipe };
  });

/**
 * @param directory of the run, for messages
 * @throws CheckpointError E_RUN_CORRUPT
 */
export function storedRun({ config }: Pick<RunRecord, 'config'>, directory: string): StoredRun {
  const isOlder = typeof config === 'object' && config !== null && !('task' in config);
  const parsed = (isOlder ? olderSchema : configSchema).safeParse(config);
  const why = parsed.success
    ? parsed.data.globalBatch % parsed.data.microbatchSize === 0
      ? null
      : 'microbatchSize does not divide globalBatch'
    : z.prettifyError(parsed.error);
  if (parsed.success && why === null) return parsed.data;
  throw new CheckpointError(
    'E_RUN_CORRUPT',
    `run.json in ${directory} holds no config of a run: ${why ?? 'it is not understood'}; restore it, or use the version that wrote it.`,
  );
}

/** The config that a run's record keeps. */
export function configToStore({
  task,
  preset,
  data,
  wire,
  arithmetic,
  engine,
  steps,
  globalBatch,
  microbatchSize,
  recipe,
}: StoredRun): JsonObject {
  const { module, code } = task;
  const kinds = { wire, arithmetic, engine };
  return { task: { module, code }, preset, data, ...kinds, steps, globalBatch, microbatchSize, recipe };
}
