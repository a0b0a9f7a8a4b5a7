/** What a network's numbers are: the types that all parts share. */

/** A parameter tensor inside a flat array; `offset` and `size` in elements. */
export type TensorSpan = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
};

/** Contiguous spans, in order, covering 0..P-1. */
export type ParameterTable = readonly TensorSpan[];

/** The four arrays of a training state, of one length P. They may live on SharedArrayBuffers. */
export type StateArrays = {
  readonly weights: Float32Array;
  /** Adam's first moment. */
  readonly expAvg: Float32Array;
  /** Adam's second moment. */
  readonly expAvgSq: Float32Array;
  /** Moving average of the weights: what samples are drawn from. */
  readonly ema: Float32Array;
};

/** State k: everything that step k + 1 starts from. */
export type TrainingState = StateArrays & {
  /** Number of optimiser updates done. */
  readonly step: number;
};
