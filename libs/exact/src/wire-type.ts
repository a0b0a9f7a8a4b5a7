/** The integers that gradients are summed as over the ring. One run has one wire: it decides the weights. */

export const WIRES = ['int32', 'int16'] as const;
export type Wire = (typeof WIRES)[number];

/** A sum on its way round the ring: its elements are of the run's wire. */
export type SumArray = Int32Array | Int16Array;

export const WIRE_BYTES: Readonly<Record<Wire, number>> = {
  int32: Int32Array.BYTES_PER_ELEMENT,
  int16: Int16Array.BYTES_PER_ELEMENT,
};

export function wireOf(sum: SumArray): Wire {
  return sum instanceof Int32Array ? 'int32' : 'int16';
}
