/**
 * A drawing job, and what the process that hands it out and its worker processes say to each other over the fork's channel.
 *
 * batch  = IMAGES_A_BATCH images in a row: batch b holds the images b * IMAGES_A_BATCH and following. It is the unit of work, as
 *          the microbatch is in training, for the bits of an image depend on the number of images that a graph is made for and on
 *          the image's place among them (docs/internals/numerics.md). Batches are always whole, so that an image has the same
 *          pixels whatever the grid, the number of workers, and whoever draws it.
 */
import { z } from 'zod';
import type { Recipe, SamplerConfig } from '@lockstep/diffusion';
import type { EngineOptions } from '@lockstep/engine';

/**
 * On one core 16 images a batch are a tenth faster, and more are no faster; with 8, the 64 images of the usual grid keep eight
 * workers busy, and a small grid wastes less. Part of what decides the pixels' last bits: as good as never to be changed.
 */
export const IMAGES_A_BATCH = 8;

/** Threads are part of what decides the last bits too: a machine with more cores runs more workers, not more threads. */
export const THREADS = 1;

export interface DrawCondition {
  /** [images of all batches] 0 .. classes, which stands for none */
  readonly labels: Int32Array;
  /** libs/diffusion, `Condition` */
  readonly guidance: number;
}

export interface DrawJob {
  readonly engine: EngineOptions;
  readonly recipe: Recipe;
  readonly sampler: SamplerConfig;
  readonly seed: number;
  /** Null for a network that knows no labels. */
  readonly condition: DrawCondition | null;
  /** Numbers of steps after which a batch's images are kept, ascending; the last is all of them. */
  readonly kept: readonly number[];
  /** [P] */
  readonly weights: Float32Array;
}

/** Sent by this build to a process that it started itself, and taken as it is. */
export const toWorkerSchema = z.discriminatedUnion('kind', [
  /** Comes first, once. */
  z.object({ kind: z.literal('job'), job: z.custom<DrawJob>((value) => typeof value === 'object' && value !== null) }),
  /** Draw this batch. Comes only when the worker has nothing to do. */
  z.object({ kind: z.literal('batch'), batch: z.int().min(0) }),
]);

export type ToWorker = z.infer<typeof toWorkerSchema>;

export const fromWorkerSchema = z.discriminatedUnion('kind', [
  /** The engine is loaded; the worker has nothing to do. */
  z.object({ kind: z.literal('ready') }),
  /** So many denoising steps of its batch are done. */
  z.object({ kind: z.literal('step'), done: z.int().min(1) }),
  /** Its batch, [job.kept.length, IMAGES_A_BATCH, rows, columns, channels]; it has nothing to do again. */
  z.object({ kind: z.literal('drawn'), images: z.custom<Float32Array>((value) => value instanceof Float32Array) }),
  /** It cannot go on, and another worker could not either; it ends right after. */
  z.object({ kind: z.literal('failed'), code: z.string(), message: z.string() }),
]);

export type FromWorker = z.infer<typeof fromWorkerSchema>;
