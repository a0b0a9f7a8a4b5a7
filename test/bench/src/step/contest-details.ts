/** What step.ts tells besides its rows, and the plot reads. */
import { z } from 'zod';
import { figuresSchema } from '../result/summary.js';

export const contestsSchema = z.object({
  /** One a row. */
  contests: z.array(
    z.looseObject({
      threads: z.number(),
      /** Milliseconds of a step, by variant. */
      peers: z.record(z.string(), figuresSchema),
    }),
  ),
});
export type Contests = z.infer<typeof contestsSchema>;
