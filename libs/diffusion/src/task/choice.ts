/** What a user chose of a diffusion recipe, by the keys of a config. */
import type { JsonObject } from '@lockstep/base';
import { z } from 'zod';
import { DiffusionError } from '../errors.js';
import type { RecipeChanges } from '../recipe/recipe.js';

const number = z.number().nullable().exactOptional();

const choiceSchema = z.strictObject({
  preset: z.string().optional(),
  steps: number,
  globalBatch: number,
  microbatchSize: number,
  learningRate: number,
  warmupSteps: number,
  emaDecay: number,
  timesteps: z.enum(['uniform', 'stratified']).nullable().exactOptional(),
  prediction: z.enum(['eps', 'v']).nullable().exactOptional(),
  lossWeighting: z.enum(['none', 'min-snr']).nullable().exactOptional(),
  schedule: z.enum(['seed', 'linear', 'cosine', 'sigmoid']).nullable().exactOptional(),
  baseWidth: number,
  classes: number,
  labelDrop: number,
});

/** @throws DiffusionError E_RECIPE for what is no choice of this task */
export function choiceOf(choice: JsonObject): { readonly preset: string | null; readonly changes: RecipeChanges } {
  const parsed = choiceSchema.safeParse(choice);
  if (!parsed.success)
    throw new DiffusionError(
      'E_RECIPE',
      `diffusion cannot be trained so: ${z.prettifyError(parsed.error)}; lockstep up --help lists what can be chosen`,
    );
  const { preset, ...changes } = parsed.data;
  return { preset: preset ?? null, changes };
}
