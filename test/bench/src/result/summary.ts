import { z } from 'zod';

/** What is told of some samples, in their unit. */
export interface Figures {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  /** How many there were. */
  readonly samples: number;
}

/** Also those that are no order of any samples are none: a median outside of least and most has lost a sample on its way. */
export const figuresSchema = z
  .object({ min: z.number(), median: z.number(), max: z.number(), samples: z.int().positive() })
  .refine(({ min, median, max }) => min <= median && median <= max, 'not min, median and max in that order');

/**
 * Minimum, median, maximum and count of a list of numbers.
 * @throws RangeError where there are none, or one is not finite: a measurement that failed must not end as a figure.
 */
export function summary(samples: readonly number[]): Figures {
  if (samples.length === 0 || !samples.every(Number.isFinite))
    throw new RangeError(`no figures follow from the samples [${samples.join(', ')}]`);
  const sorted = [...samples].sort((a, b) => a - b);
  return {
    min: sorted[0],
    median: sorted[Math.floor(sorted.length / 2)],
    max: sorted[sorted.length - 1],
    samples: sorted.length,
  };
}

/** The mean; NaN of nothing, which `summary` refuses. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
