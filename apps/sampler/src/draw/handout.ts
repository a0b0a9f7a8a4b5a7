/**
 * Who draws which batch: pure, without processes or clocks. Batches are handed out one by one, to whoever has nothing to do, so
 * a fast worker draws more; the batch of a lost worker is the next to be given.
 */
export interface Handout {
  /** Batches that nobody draws yet, in the order in which they are given. */
  readonly waiting: readonly number[];
  /** By worker, the batch that it draws. */
  readonly drawing: ReadonlyMap<string, number>;
}

export function handoutOf(batches: number): Handout {
  return { waiting: Array.from({ length: batches }, (_, batch) => batch), drawing: new Map() };
}

/** Gives the next batch to a worker that has none; null if none is waiting. */
export function give(handout: Handout, worker: string): { readonly handout: Handout; readonly batch: number | null } {
  const [batch, ...waiting] = handout.waiting;
  if (batch === undefined) return { handout, batch: null };
  return { handout: { waiting, drawing: new Map(handout.drawing).set(worker, batch) }, batch };
}

/** The worker's batch is drawn. */
export function finish(handout: Handout, worker: string): Handout {
  const drawing = new Map(handout.drawing);
  drawing.delete(worker);
  return { ...handout, drawing };
}

/** The worker is gone; a batch that it had is drawn by another, from its first step. */
export function lose(handout: Handout, worker: string): Handout {
  const batch = handout.drawing.get(worker);
  const { waiting, drawing } = finish(handout, worker);
  return { waiting: batch === undefined ? waiting : [batch, ...waiting], drawing };
}

export function isOver({ waiting, drawing }: Handout): boolean {
  return waiting.length === 0 && drawing.size === 0;
}
