/** What network.ts tells besides its rows, and the plot reads. */
import { z } from 'zod';
import { constantsSchema } from './model.js';

export const networkDetailsSchema = z.object({
  /** Of each link. */
  rate: z.string(),
  /** Of a core, for each worker. */
  coreShare: z.number(),
  microbatchSize: z.number(),
  points: z.array(
    z.looseObject({
      workers: z.number(),
      microbatchesEach: z.number(),
      use: z.enum(['fitted', 'held out']),
      seconds: z.number(),
    }),
  ),
  constants: constantsSchema,
  ring: z.looseObject({ unlimited: z.looseObject({ alpha: z.number(), beta: z.number() }) }),
});
export type NetworkDetails = z.infer<typeof networkDetailsSchema>;
