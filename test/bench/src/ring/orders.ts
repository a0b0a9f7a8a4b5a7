/** What ring.ts and its processes say to each other. */
import { z } from 'zod';

/** Where a member of the ring listens; `local`: its local socket, where it has one. */
export const ringPlaceSchema = z.object({ port: z.number(), local: z.string().optional() });

/** Where an end of the bare connection listens. */
export const portSchema = z.number();

/** All-reduces of so many numbers without a pause between them. The answer: seconds of each. */
export const reduceSchema = z.object({ kind: z.literal('reduce'), elements: z.number(), repeats: z.number() });
export type ReduceOrder = z.infer<typeof reduceSchema>;
export const secondsSchema = z.number();

/** So many steps, with a look at the memory every some. The answer: what was seen. */
export const memorySchema = z.object({
  kind: z.literal('memory'),
  elements: z.number(),
  steps: z.number(),
  every: z.number(),
});
export type MemoryOrder = z.infer<typeof memorySchema>;
export const memorySamplesSchema = z.array(
  z.object({
    step: z.number(),
    heapUsed: z.number(),
    external: z.number(),
    arrayBuffers: z.number(),
    rss: z.number(),
    garbage: z.number(),
  }),
);

/** To a member of the ring. */
export const ringOrderSchema = z.discriminatedUnion('kind', [reduceSchema, memorySchema]);

/** To an end of the bare connection: bytes from rank 0 to rank 1, or both ways. */
export const flowSchema = z.object({ bytes: z.number(), twoWay: z.boolean() });
/** When an end began and was done, in seconds of the machine's clock. */
export const spanSchema = z.object({ start: z.number(), end: z.number() });

/** Ends a process. */
export const STOP = 'stop';
