/**
 * Shared memory for the gradients of one step, used again in the next: once every microbatch of a step had its slot, no
 * step allocates any more.
 */

export class GradientPool {
  private readonly free: Float32Array<SharedArrayBuffer>[] = [];
  private taken: Float32Array<SharedArrayBuffer>[] = [];

  /** `length`: P, the numbers of one gradient. */
  constructor(private readonly length: number) {}

  /** Slots that there are, free or taken: the most gradients that one step asked for. */
  get size(): number {
    return this.free.length + this.taken.length;
  }

  /**
   * A slot that nobody reads. A microbatch that is computed anew gets another slot than before, as the sum may
   * still be reading the old one.
   */
  take(): Float32Array<SharedArrayBuffer> {
    const slot =
      this.free.pop() ?? new Float32Array(new SharedArrayBuffer(this.length * Float32Array.BYTES_PER_ELEMENT));
    this.taken.push(slot);
    return slot;
  }

  /** The step is over: its gradients are needed no more, by any thread. */
  releaseAll(): void {
    this.free.push(...this.taken);
    this.taken = [];
  }
}
