/** What a run's record says, as this version understands it. */
import { z } from 'zod';
import { CheckpointError, type JsonValue, type RunRecord } from '@lockstep/run';
import { WIRES, type Wire } from '@lockstep/exact';
import { MNIST, parseRecipe, type Preset } from '@lockstep/diffusion';

// What came later has as its default what was done before it.
const configSchema = z.object({
  preset: z.string(),
  data: z.string().min(1).default(MNIST),
  wire: z.enum(WIRES).default('int32'),
  recipe: z.unknown(),
});

export interface StoredRun {
  readonly preset: string;
  /** Where the data was when the run began. */
  readonly data: string;
  readonly wire: Wire;
  readonly recipe: Preset;
}

/**
 * @param directory of the run, for messages
 * @throws CheckpointError E_RUN_CORRUPT; DiffusionError E_RECIPE, E_MODEL_CONFIG, E_SCHEDULE
 */
export function storedRun({ config }: RunRecord, directory: string): StoredRun {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success) {
    throw new CheckpointError(
      'E_RUN_CORRUPT',
      `run.json in ${directory} holds no config of a run: ${z.prettifyError(parsed.error)}; restore it, or use the version that wrote it.`,
    );
  }
  const { recipe, ...rest } = parsed.data;
  return { ...rest, recipe: parseRecipe(recipe) };
}

/** The config that a run's record keeps. */
export function configToStore(run: StoredRun): JsonValue {
  const { preset, data, wire, recipe } = run;
  return JSON.parse(JSON.stringify({ preset, data, wire, recipe })) as JsonValue;
}
