/** What ring.ts tells besides its rows, and the plot reads: a point for each number of members and size. */
import { z } from 'zod';

const sideSchema = z.object({
  minSeconds: z.number(),
  medianSeconds: z.number(),
  bestGBps: z.number(),
  medianGBps: z.number(),
});
/** Bus bandwidth of one side. */
export type Side = z.infer<typeof sideSchema>;

/** Peers are there where they were measured. */
const pointSchema = z.object({
  n: z.number(),
  bytes: z.number(),
  samples: z.number(),
  lockstep: sideSchema,
  lockstepTcp: sideSchema,
  gloo: sideSchema.optional(),
  tcpOneWay: sideSchema.optional(),
  tcpTwoWay: sideSchema.optional(),
});
export type Point = z.infer<typeof pointSchema>;
export type SideName = keyof Omit<Point, 'n' | 'bytes' | 'samples'>;

export const pointsSchema = z.object({
  node: z.string(),
  /** Versions. */
  peers: z.record(z.string(), z.string()),
  results: z.array(pointSchema),
});
export type Points = z.infer<typeof pointsSchema>;
