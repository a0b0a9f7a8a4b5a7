/**
 * A recipe from outside, checked: from a run's run.json, a checkpoint's manifest or a coordinator's welcome. All three carry the
 * whole recipe, so that whoever reads one needs no preset, and a run stays what it is when presets change.
 */
import { z } from 'zod';

import { DiffusionError } from '../errors.js';
import type { Recipe } from './presets.js';
import { checkRecipe } from './recipe.js';

const size = z.int().positive();
const finite = z.number();
const fraction = z.number().min(0).max(1);

// Keys with a default came later than the first recipes: what was written before them meant the default.
const unet = z.strictObject({
  kind: z.literal('unet'),
  base: size,
  channelMultipliers: z.array(size),
  attentionAt: z.enum(['middle', 'nowhere']),
  groups: size,
  imageSize: size,
  channels: size,
  timeEmbedding: size,
  classes: z.int().nonnegative().default(0),
});

const seedUnet = z.strictObject({
  kind: z.literal('seed-unet'),
  features: size,
  imageSize: size,
  channels: size,
});

const model = z.discriminatedUnion('kind', [unet, seedUnet]);

const betas = { T: size, firstBeta: finite, lastBeta: finite };
const schedule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('seed'), ...betas }),
  z.strictObject({ kind: z.literal('linear'), ...betas }),
  z.strictObject({ kind: z.literal('cosine'), T: size, s: finite }),
  z.strictObject({ kind: z.literal('sigmoid'), T: size, start: finite, end: finite, tau: finite }),
]);

const sampler = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('ddpm'),
    steps: size,
    variance: z.enum(['beta', 'posterior']),
    clip: z.boolean(),
  }),
  z.strictObject({ kind: z.literal('ddim'), steps: size, eta: fraction, clip: z.boolean() }),
  z.strictObject({ kind: z.literal('dpmpp2m'), steps: size, clip: z.boolean() }),
]);

const optimizer = z.strictObject({
  beta1: fraction,
  beta2: fraction,
  eps: finite.nonnegative(),
  peakLearningRate: finite.positive(),
  warmupSteps: z.int().nonnegative(),
  finalFraction: fraction,
  maxGradientNorm: finite.positive().nullable(),
  emaMaxDecay: fraction,
});

const recipe: z.ZodType<Recipe> = z.strictObject({
  model,
  schedule,
  timesteps: z.enum(['uniform', 'stratified']),
  lossWeighting: z.enum(['none', 'min-snr']),
  prediction: z.enum(['eps', 'v']).default('eps'),
  labelDrop: fraction.default(0),
  networkTime: z.enum(['timestep', 'fraction']),
  globalBatch: size,
  microbatchSize: size,
  steps: size,
  optimizer,
  sampler,
});

/**
 * The recipe that `value` is.
 *
 * @throws E_RECIPE if it has not the form of one, naming what is wrong; what {@link checkRecipe} throws
 */
export function parseRecipe(value: unknown): Recipe {
  const parsed = recipe.safeParse(value);
  if (!parsed.success) {
    throw new DiffusionError(
      'E_RECIPE',
      `not a recipe of this version of Lockstep: ${z.prettifyError(parsed.error)}; use the version that wrote it`,
    );
  }
  checkRecipe(parsed.data);
  return parsed.data;
}
