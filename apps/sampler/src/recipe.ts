/** What a checkpoint's manifest says of the model, checked: the file may come from anywhere. */
import { z } from 'zod';
import type { ModelConfig, NetworkTime, SamplerConfig, ScheduleConfig } from '@lockstep/diffusion';
import { SamplerError } from './errors.js';

export interface StoredRecipe {
  readonly model: ModelConfig;
  readonly schedule: ScheduleConfig;
  readonly networkTime: NetworkTime;
  readonly sampler: SamplerConfig;
}

const size = z.int().positive();

const unet = z.object({
  kind: z.literal('unet'),
  base: size,
  channelMultipliers: z.array(size),
  attentionAt: z.enum(['middle', 'nowhere']),
  groups: size,
  imageSize: size,
  channels: size,
  timeEmbedding: size,
});

const seedUnet = z.object({
  kind: z.literal('seed-unet'),
  features: size,
  imageSize: z.literal(28),
  channels: z.literal(1),
});

const model = z.discriminatedUnion('kind', [unet, seedUnet]);

const schedule = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('seed'), T: size, firstBeta: z.number(), lastBeta: z.number() }),
  z.object({ kind: z.literal('linear'), T: size, firstBeta: z.number(), lastBeta: z.number() }),
  z.object({ kind: z.literal('cosine'), T: size, s: z.number() }),
  z.object({ kind: z.literal('sigmoid'), T: size, start: z.number(), end: z.number(), tau: z.number() }),
]);

const sampler = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ddpm'), steps: size, variance: z.enum(['beta', 'posterior']), clip: z.boolean() }),
  z.object({ kind: z.literal('ddim'), steps: size, eta: z.number(), clip: z.boolean() }),
]);

const recipe = z.object({ model, schedule, networkTime: z.enum(['timestep', 'fraction']), sampler });

/** Throws SamplerError E_SAMPLE_MODEL if the manifest does not describe a model that this version can build. */
export function parseStoredRecipe(value: unknown): StoredRecipe {
  const parsed = recipe.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SamplerError(
    'E_SAMPLE_MODEL',
    `the checkpoint's manifest does not describe a model of this version of Lockstep: ${z.prettifyError(parsed.error)}`,
  );
}
