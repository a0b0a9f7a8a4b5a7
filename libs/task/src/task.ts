/**
 * What can be trained: a task. Everything else (workers, sums, checkpoints, ledger, replay) knows no more of it than this file says.
 *
 * A task has two halves. `Task` is arithmetic on the host: table, schedule, where the data is. The coordinator has that alone, so it
 * must not load an engine. `TaskData.gradient` builds the graph, in the worker's compute thread.
 *
 * P: numbers of the network. n: samples a microbatch.
 */
import type { JsonObject } from '@lockstep/base';
import type { Engine, FunctionIdentity, Stages, TensorFunction, TensorSpec, TypedArray } from '@lockstep/engine';
import type { AdamStep } from './optimizer/optimizer.js';
import type { ParameterTable } from './table/parameters.js';

/** A network and how it is trained: a pure function of its recipe. */
export interface Task {
  /** What a run of it is called in messages: `diffusion`, `mnist-classifier`. */
  readonly name: string;
  /** Optimiser updates in the whole run. */
  readonly steps: number;
  /** Samples a step. */
  readonly globalBatch: number;
  /** Samples a microbatch, the unit of work; divides globalBatch. */
  readonly microbatchSize: number;
  /** Where each tensor lies in the flat array of P numbers. */
  readonly table: ParameterTable;
  /** The tensors' axes in words, for the metadata of files that are read without Lockstep. */
  readonly layout: string;
  /**
   * The first tensor of the early bucket, 1 .. tensors-1: the gradients of that tensor and of all after it are there, and are summed
   * over the workers, while the others are still being computed. Null: the gradient comes in one piece.
   */
  readonly earlyFrom: number | null;
  /** All that decides the task: `create(recipe)` must give the same again. In run.json, the workers' welcome and manifests. */
  readonly recipe: JsonObject;
  /**
   * What the recipe says by each key of a config, and each option. On `--resume` what is given again is compared with it; a key that is
   * left out of it is one that only the data decides.
   */
  readonly choices: JsonObject;
  /** What of the recipe the weights are of: a run starts from another's state only where these are equal. */
  readonly network: JsonObject;
  /** Weights to start from, [P]: a function of the seed. */
  initialWeights(seed: number): Float32Array;
  /** The update of step `step` (from 0) by a mean gradient of this Euclidean norm. */
  updateAt(step: number, gradientNorm: number): AdamStep;
  /**
   * Opens one half of the data. What it says of a mistake names what is wrong and what to do.
   *
   * @param source `--data`: one of the module's `dataNames` or an absolute path; null where the module has no names and none was given
   */
  open(source: string | null, split: Split): TaskData | Promise<TaskData>;
  /**
   * The task of a new run, now that its data is known: what its choice left open may be the data's, such as the number of classes.
   * Throws if the two do not fit. Left out: the task is as it is.
   */
  fitted?(data: TaskData): { readonly task: Task; readonly data: TaskData };
}

export type Split = 'train' | 'test';

/** The data of a task, and the function that is trained on it. */
export interface TaskData {
  /** sha256 in hex (64 digits) of the data, however it is stored: workers with other data must not take part. */
  readonly digest: string;
  /** Samples. */
  readonly count: number;
  /** One line for people: `60000 images of 28x28, 10 classes`. */
  readonly description: string;
  /** What the labels' classes are called, if there are any. */
  readonly classNames?: readonly string[];
  /** Names of the figures that a gradient function gives beside the loss, such as `accuracy`. */
  readonly figures?: readonly string[];
  /** The samples of one microbatch (`microbatchIndices` names them) and the function's inputs: a function of its arguments. */
  prepare(seed: number, step: number, microbatch: number): Prepared;
  /** The gradient of the mean loss over a microbatch. */
  gradient(engine: Engine): GradientFunction;
}

/** What a microbatch is trained on. */
export interface Prepared {
  /** [n] which samples of the data these are. */
  readonly indices: Uint32Array;
  /** The function's inputs after the weights. */
  readonly inputs: readonly TypedArray[];
  /** What a replay says of the samples, by name, a number each. */
  readonly notes?: Readonly<Record<string, readonly number[]>>;
  /** What a replay writes beside indices, weights and gradient; the inputs by number, if left out. */
  readonly tensors?: readonly NamedTensor[];
}

export interface NamedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A function for the engine's compile and runEager, with its inputs' shapes. */
export type GraphFunction = {
  readonly fn: TensorFunction;
  readonly specs: readonly TensorSpec[];
  /** By which its graph is kept on disk; left out: it is recorded anew by each process. */
  readonly identity?: FunctionIdentity;
};

/**
 * The gradient of the mean loss of n samples. Inputs: weights [P], then those of a `Prepared`.
 *
 * Outputs, in the order of the function's own: the gradient in one piece or several, each tensor's flattened; the losses [n], whose
 * mean is the microbatch's; figures, of which each is the mean of an output's numbers.
 */
export type GradientFunction = GraphFunction & {
  /** Which outputs are made first, and which then. With `earlyFrom` the first stage has the early bucket. */
  readonly stages?: Stages;
  /** Number of the output that holds the losses. */
  readonly losses: number;
  /** Number of the output of each of the data's `figures`, in their order. */
  readonly figures?: readonly number[];
  /** Where the outputs go so that the gradient lies in `into` [P]; null: in an array of its own. */
  readonly targets: (into: Float32Array) => readonly (Float32Array | null)[];
};

/** What a module of a task has as its default export, or what the function that is its default export returns. */
export interface TaskModule {
  /** The task of a recipe. For a new run that is what was chosen: the options, and the keys that fit any task where they were given. */
  create(recipe: JsonObject): Task;
  /** Where a choice has another form than a recipe: the task of a new run. */
  begin?(choice: JsonObject): Task;
  /** Where a choice has another form than a recipe: the task of another run's recipe, with changes. */
  changed?(recipe: JsonObject, changes: JsonObject): Task;
  /** Config keys that it takes beside those for any task (COMMON_KEYS). */
  readonly keys?: readonly string[];
  /** Data that is called by a name, not by a path; the first is what is trained on where nothing is named. */
  readonly dataNames?: readonly string[];
  /** Names its code in place of a digest of files, so that what changes nothing in a run may change. */
  readonly version?: string;
  /** What else it can do with a run of it. */
  readonly can?: readonly Ability[];
}

export type Ability = 'sample' | 'evaluate' | 'export';

/** Keys of a config that make sense for any task: they are part of a choice where they are given. */
export const COMMON_KEYS = [
  'steps',
  'globalBatch',
  'microbatchSize',
  'learningRate',
  'warmupSteps',
  'emaDecay',
] as const;
