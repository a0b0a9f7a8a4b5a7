/** What a coordinator says of its run at GET /status: one form, for whoever writes or reads it. */
import { z } from 'zod';

const count = z.int().nonnegative();
const measured = z.number().nonnegative().nullable();

const workerStatusSchema = z
  .object({
    id: z.string(),
    host: z.string(),
    inRing: z.boolean(),
    step: count.nullable(),
    millisecondsPerMicrobatch: measured,
    /** Microbatches that it was given in this step. */
    share: count,
    /** Processor time / wall time. */
    cpuShare: measured,
    straggler: z.string().nullable(),
  })
  .readonly();

const evaluationSchema = z
  .object({
    step: count,
    /** Images drawn. */
    samples: count,
    frechetDistance: z.number(),
    /** Of as many real images. */
    frechetFloor: z.number(),
    /** Of noise. */
    frechetCeiling: z.number(),
    precision: z.number(),
    recall: z.number(),
    /** Largest deviation of a class from its fair share. */
    classDeviation: z.number(),
  })
  .readonly();

export const statusSchema = z
  .object({
    run: z.string(),
    phase: z.string(),
    step: count,
    steps: count,
    generation: count,
    workers: z.array(workerStatusSchema).readonly(),
    loss: z.number().nullable(),
    /** What the task measures beside the loss, of the newest step. */
    figures: z.record(z.string(), z.number()).readonly(),
    imagesPerSecond: z.number().nonnegative(),
    etaSeconds: measured,
    checkpoint: count.nullable(),
    reproducible: z.boolean(),
    /** The last evaluation of a checkpoint by this coordinator process. */
    evaluation: evaluationSchema.nullable(),
  })
  .readonly();

export type Status = z.infer<typeof statusSchema>;

/** What an evaluation of a checkpoint found, in figures. */
export type EvaluationSummary = z.infer<typeof evaluationSchema>;
