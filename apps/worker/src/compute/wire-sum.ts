/**
 * The worker's sum on its way round the ring. It is int32 before and after; where the run's wire is int16 it is narrow meanwhile, in
 * the same memory (libs/comm, narrow.ts).
 */
import { setImmediate as otherWork } from 'node:timers/promises';
import { narrow, narrowView, widen, type SumArray, type Wire } from '@lockstep/exact';

/** Makes a sum ready for the ring. @throws FixedPointError E_FIXEDPOINT_OVERFLOW */
export async function toWire(sum: Int32Array, wire: Wire): Promise<void> {
  if (wire === 'int16') await inPieces(narrow(sum));
}

/** What the ring sums. */
export function onWire(sum: Int32Array, wire: Wire): SumArray {
  return wire === 'int16' ? narrowView(sum) : sum;
}

/** Makes of the ring's total what a step is updated with. */
export async function fromWire(sum: Int32Array, wire: Wire): Promise<void> {
  if (wire === 'int16') await inPieces(widen(sum));
}

/** Sockets and heartbeats get their turn between two pieces. */
async function inPieces(work: Generator<undefined, void>): Promise<void> {
  while (work.next().done !== true) await otherWork();
}
