/**
 * Minimum, median, maximum and count of a list of numbers.
 * @throws RangeError where there are none, or one is not finite: a measurement that failed must not end as a figure.
 */
export function summary(samples) {
  if (samples.length === 0 || !samples.every(Number.isFinite))
    throw new RangeError(`no figures follow from the samples [${samples.join(', ')}]`);
  const sorted = [...samples].sort((a, b) => a - b);
  return { min: sorted[0], median: sorted[Math.floor(sorted.length / 2)], max: sorted.at(-1), samples: sorted.length };
}
