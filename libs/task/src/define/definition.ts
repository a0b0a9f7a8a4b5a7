/**
 * A task as its author writes it: a plain object, the default export of a file that may lie anywhere and needs no import.
 *
 *   create   says what is trained: sizes, parameters, optimiser. Runs in every process; the coordinator has no TensorFlow.
 *   open     opens the data. Runs in every process, too: workers with other data are refused.
 *   batch    makes the inputs of a microbatch.
 *   loss     is the network, written in tfjs. It is recorded as a graph once, in each worker; its gradient is derived.
 *
 * n: samples a microbatch.
 */
import type { Tensor, TF, TypedArray } from '@lockstep/engine';
import type { Split } from '../task.js';

/** Values that an option may have; what is given on the command line is read as the type of the default. */
export type OptionValue = string | number | boolean;
export type Options = Readonly<Record<string, OptionValue>>;

/** The default export of a task's file. */
export interface TaskDefinition<O extends Options = Options> {
  /** What the task is called in messages. */
  readonly name: string;
  /** Options with their defaults: `lockstep up --task FILE --option width=64`. */
  readonly options?: O;
  create(context: { readonly options: O; readonly lockstep: Tools }): TaskBody;
}

/** What `create` returns. */
export interface TaskBody {
  /** Optimiser updates in the whole run. */
  readonly steps: number;
  /** Samples a step. */
  readonly globalBatch: number;
  /** n, the unit of work that is given to a worker; divides globalBatch. By default an eighth of it, or all. */
  readonly microbatchSize?: number;
  readonly parameters: readonly ParameterDefinition[];
  readonly optimizer: OptimizerDefinition;
  /** Names of what `loss` returns beside the loss; none by default. */
  readonly figures?: readonly string[];
  /** The data of one half; null where there is no test half. */
  open(context: OpenContext): DataDefinition | null | Promise<DataDefinition | null>;
  /**
   * The network: the mean loss of n samples, a scalar, from operations of `tf`. Its value must follow from weights and inputs alone.
   */
  loss(context: LossContext): LossResult;
  /** What `lockstep try` prints of a trained network. Runs op by op, not as a graph. */
  sample?(context: SampleContext): string | Promise<string>;
}

export interface ParameterDefinition {
  readonly name: string;
  readonly shape: readonly number[];
  /** What it starts from; for the two rules convolution kernels are [height, width, in, out] and matrices [in, out]. */
  readonly init: Initializer;
}

/** `normal`: standard deviation; `uniform`: the bound, on both sides of 0. */
export type Initializer =
  'zeros' | 'ones' | 'he-normal' | 'glorot-uniform' | { readonly normal: number } | { readonly uniform: number };

/** Adam with linear warm-up and a cosine decay; a moving average (EMA) of the weights is what is evaluated and sampled. */
export interface OptimizerDefinition {
  readonly learningRate: number;
  /** 0 by default. */
  readonly warmupSteps?: number;
  /** Of the learning rate, at the end of the run; 0 by default, 1 for a constant rate. */
  readonly finalFraction?: number;
  /** 0.9 by default. */
  readonly beta1?: number;
  /** 0.999 by default. */
  readonly beta2?: number;
  /** 1e-8 by default. */
  readonly eps?: number;
  /** Gradients are scaled down to this length; null, the default: never. */
  readonly maxGradientNorm?: number | null;
  /** Most that is kept of the moving average in a step; 0.999 by default. */
  readonly ema?: number;
}

export interface OpenContext {
  readonly split: Split;
  /** `--data`: an absolute path; null where none was given. */
  readonly source: string | null;
  readonly lockstep: Tools;
}

/** What `open` returns. */
export interface DataDefinition {
  /** Samples: `batch` is asked for 0 .. count-1. */
  readonly count: number;
  /**
   * Names the data, so that all workers have the same: any text. By default a digest of what was read by `lockstep.readFile` and of the
   * first microbatch.
   */
  readonly digest?: string;
  /** One line for people. */
  readonly description?: string;
  readonly inputs: readonly InputDefinition[];
  /**
   * The inputs of these samples, in the order of `inputs`, each one row a sample. `random(place)` gives random numbers that belong to
   * the sample at indices[place] in this step, whoever computes it: use no others.
   */
  batch(indices: Uint32Array, random: (place: number) => SampleRandom): readonly TypedArray[];
}

export interface InputDefinition {
  readonly name: string;
  /** Of one sample: the network sees [n, ...shape]. */
  readonly shape: readonly number[];
  readonly dtype: 'float32' | 'int32';
}

export interface LossContext {
  readonly tf: TF;
  /** By name. */
  readonly weights: Readonly<Record<string, Tensor>>;
  /** By name, each [n, ...shape]. */
  readonly inputs: Readonly<Record<string, Tensor>>;
}

export interface LossResult {
  /** Scalar, the mean over the samples. */
  readonly loss: Tensor;
  /** Scalars, means over the samples, by the names in `figures`. */
  readonly figures?: Readonly<Record<string, Tensor>>;
}

export interface SampleContext {
  readonly tf: TF;
  /** The moving average of the weights. */
  readonly weights: Readonly<Record<string, Tensor>>;
  readonly random: SampleRandom;
  /** `--prompt`; empty if none was given. */
  readonly prompt: string;
}

/** A stream of random numbers. */
export interface SampleRandom {
  /** Between 0 and 1, never either. */
  uniform(): number;
  /** Standard normal. */
  normal(): number;
  /** 0 .. bound-1, each as likely. */
  integer(bound: number): number;
}

/** What Lockstep hands in. */
export interface Tools {
  /** A file's bytes; a relative path is one from the task's file. What is read counts in the data's digest. */
  readFile(path: string | URL): Uint8Array;
  /** MNIST, which is installed with Lockstep: 60,000 or 10,000 grey images of 28 by 28, 0 to 255, with their digits. */
  loadMnist(split: Split): { readonly images: Uint8Array; readonly labels: Uint8Array; readonly count: number };
}
