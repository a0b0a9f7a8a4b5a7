/**
 * Which samples a run used, counted from the ledger and the seed; pure.
 *
 * Step k takes positions k*globalBatch .. (k+1)*globalBatch-1 of the endless sequence of epochs. A ledger names the samples of
 * each microbatch by a digest; a microbatch whose digest is not that of its samples counts as having used none of them.
 */
import type { LedgerEntry } from '@lockstep/run';
import { microbatchIndices, samplesDigest } from '@lockstep/task';

/** What decides the samples of each microbatch. */
export interface SampleOrder {
  readonly seed: number;
  /** Samples in the data set. */
  readonly count: number;
  readonly globalBatch: number;
  readonly microbatchSize: number;
}

export interface EpochUse {
  readonly epoch: number;
  /** The last of several epochs, one after another, of each of which the same holds; left out where it is one epoch. */
  readonly through?: number;
  /** Samples used, with repetitions. */
  readonly used: number;
  /** How many different samples were used exactly once, more often, and not at all. */
  readonly once: number;
  readonly repeated: number;
  readonly never: number;
  /** Of `used`: in steps that were skipped as not finite, and so changed nothing. */
  readonly inSkippedSteps: number;
  /** The ledger reaches the end of the epoch. */
  readonly complete: boolean;
}

/** Something wrong with a step's samples. */
export type SampleFault = { readonly step: number; readonly microbatch: number | null; readonly reason: string };

/** An epoch being counted. */
type Count = { readonly times: Uint32Array; used: number; inSkippedSteps: number };

/** Counts the samples of entries that are given step by step, from step 0 on. */
export class SampleCounter {
  /** Epochs that are alike are one entry: of a small data set a run has as many as it takes samples. */
  readonly epochs: EpochUse[] = [];
  private readonly open = new Map<number, Count>();

  constructor(private readonly order: SampleOrder) {}

  /**
   * Takes in the next step. Returns what is wrong with it, one fault a microbatch.
   * @throws TaskError E_MICROBATCH, E_RANDOM_KEY if the order is impossible
   */
  add(entry: LedgerEntry): readonly SampleFault[] {
    const { seed, count, globalBatch, microbatchSize } = this.order;
    const { step, samples, skipped } = entry;
    const microbatches = globalBatch / microbatchSize;
    const faults: SampleFault[] = [];
    if (samples.length !== microbatches) {
      const reason = `it has ${samples.length} microbatches, the recipe says ${microbatches}`;
      faults.push({ step, microbatch: null, reason });
    }
    for (let index = 0; index < Math.min(samples.length, microbatches); index++) {
      const indices = microbatchIndices(seed, count, globalBatch, microbatchSize, step, index);
      const expected = samplesDigest(indices);
      if (samples[index] === expected) this.use(indices, step * globalBatch + index * microbatchSize, skipped);
      else faults.push({ step, microbatch: index, reason: `samples ${samples[index]}, by the seed ${expected}` });
    }
    this.closeBefore(Math.floor(((step + 1) * globalBatch) / count));
    return faults;
  }

  /** Closes the last epoch, which need not be complete. */
  finish(): readonly EpochUse[] {
    for (const epoch of this.open.keys()) this.close(epoch, false);
    return this.epochs;
  }

  private use(indices: Uint32Array, position: number, skipped: boolean): void {
    const { count } = this.order;
    indices.forEach((sample, i) => {
      const epoch = Math.floor((position + i) / count);
      let counted = this.open.get(epoch);
      if (counted === undefined) {
        counted = { times: new Uint32Array(count), used: 0, inSkippedSteps: 0 };
        this.open.set(epoch, counted);
      }
      counted.times[sample] += 1;
      counted.used += 1;
      if (skipped) counted.inSkippedSteps += 1;
    });
  }

  private closeBefore(epoch: number): void {
    for (const open of this.open.keys()) if (open < epoch) this.close(open, true);
  }

  private close(epoch: number, complete: boolean): void {
    const counted = this.open.get(epoch);
    if (counted === undefined) return;
    this.open.delete(epoch);
    const { times, used, inSkippedSteps } = counted;
    let [once, never] = [0, 0];
    for (const number of times) {
      if (number === 1) once += 1;
      else if (number === 0) never += 1;
    }
    const repeated = times.length - once - never;
    const closed = { epoch, used, once, repeated, never, inSkippedSteps, complete };
    const last = this.epochs.at(-1);
    if (last !== undefined && isAlike(last, closed)) this.epochs[this.epochs.length - 1] = { ...last, through: epoch };
    else this.epochs.push(closed);
  }
}

/** Whether `next` follows right after `last`, and the same holds of it. */
function isAlike(last: EpochUse, next: EpochUse): boolean {
  return (
    next.epoch === (last.through ?? last.epoch) + 1 &&
    next.used === last.used &&
    next.once === last.once &&
    next.repeated === last.repeated &&
    next.never === last.never &&
    next.inSkippedSteps === last.inSkippedSteps &&
    next.complete === last.complete
  );
}

/** `epoch 3`, or `epochs 3 to 7`. */
export function epochsOf({ epoch, through }: Pick<EpochUse, 'epoch' | 'through'>): string {
  return through === undefined ? `epoch ${epoch}` : `epochs ${epoch} to ${through}`;
}
