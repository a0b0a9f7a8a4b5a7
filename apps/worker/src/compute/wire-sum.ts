/**
 * The worker's sum on its way round the ring. It is int32 before and after; where the run's wire is int16 it is narrow meanwhile, in
 * the same memory (libs/exact, narrow.ts).
 */
import { narrow, narrowView, widen, type SumArray, type Wire } from '@lockstep/exact';

/** Sockets and heartbeats get their turn between two pieces. */
type Pause = () => Promise<unknown>;

/** Makes a sum ready for the ring. @throws FixedPointError E_FIXEDPOINT_OVERFLOW */
export async function toWire(sum: Int32Array, wire: Wire, pause: Pause): Promise<void> {
  if (wire === 'int16') await inPieces(narrow(sum), pause);
}

/** What the ring sums. */
export function onWire(sum: Int32Array, wire: Wire): SumArray {
  return wire === 'int16' ? narrowView(sum) : sum;
}

/** Makes of the ring's total what a step is updated with. */
export async function fromWire(sum: Int32Array, wire: Wire, pause: Pause): Promise<void> {
  if (wire === 'int16') await inPieces(widen(sum), pause);
}

async function inPieces(work: Generator<undefined, void>, pause: Pause): Promise<void> {
  while (work.next().done !== true) await pause();
}
