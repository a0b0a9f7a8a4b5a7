/** The rows of what train.ts measured. */
import { ratioOf, row, type Row } from '../result/result.js';
import type { Figures } from '../result/summary.js';

/** The quickest variant of the peer. */
export interface Ddp {
  readonly variant: string;
  readonly version: string;
  readonly bucketMb: number;
  readonly imagesPerSecond: Figures;
}

export interface Trained {
  readonly imagesPerSecond: Figures;
  /** Null: it was not measured. */
  readonly ddp: Ddp | null;
  /** Share of the time in which the compute threads are idle, by global batch. */
  readonly idle: readonly { readonly globalBatch: number; readonly idleShare: Figures }[];
  /** Share of the ring's time in which the same worker computes a gradient. */
  readonly ringHidden: Figures;
}

/** @throws RangeError of what is no share, 0..1 */
function percent({ min, median, max, samples }: Figures): Figures {
  for (const share of [min, median, max])
    if (!(share >= 0 && share <= 1)) throw new RangeError(`a share of ${share} (${min} .. ${max})`);
  return { min: 100 * min, median: 100 * median, max: 100 * max, samples };
}

/** How that enters the table. */
export function trainRows({ imagesPerSecond: ours, ddp, idle, ringHidden }: Trained): Row[] {
  const peer =
    ddp === null
      ? null
      : {
          name: `PyTorch DDP (gloo), ${ddp.variant}, buckets of ${ddp.bucketMb} MB`,
          version: ddp.version,
          ...ddp.imagesPerSecond,
        };
  return [
    row({
      name: 'whole job, 2 workers of one thread, global batch 32',
      unit: 'images/s',
      ours,
      peer,
      ratio: peer === null ? null : ratioOf(ours, peer, 'max'),
      goal: { of: 'ratio', atLeast: 1.1 },
    }),
    ...idle.map(({ globalBatch, idleShare }) =>
      row({
        name: `share of the time in which the compute thread is idle, global batch ${globalBatch}`,
        unit: '%',
        ours: percent(idleShare),
        goal: { of: 'ours', atMost: 3 },
      }),
    ),
    row({
      name: "share of the ring's time in which the same worker computes a gradient, global batch 32",
      unit: '%',
      ours: percent(ringHidden),
    }),
  ];
}
