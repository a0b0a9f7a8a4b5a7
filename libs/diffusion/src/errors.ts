/**
 * Every error code of this library, with what it means.
 *
 * - E_RANDOM_KEY: a seed, step or sample position is outside the range that a random stream can be keyed with.
 * - E_SCHEDULE: a noise schedule was asked for with impossible numbers.
 * - E_SAMPLER: a sampler was asked for with impossible numbers, or its noise predictor returned the wrong length.
 * - E_MODEL_CONFIG: a model's config does not describe a network that can be built.
 * - E_PARAMETERS: parameters do not have the length that the model's table says.
 * - E_MICROBATCH: a microbatch was asked for that the step does not have, or the sizes do not divide.
 * - E_LABEL: a sample's label, or the class to be drawn, is none of the network's classes.
 * - E_RECIPE: a stored or changed recipe has not the form of one, or its parts do not fit each other.
 * - E_OPTIMIZER: the optimiser's arrays differ in length or a hyperparameter is out of range.
 * - E_PRESET: no preset has this name.
 * - E_MNIST_MISSING: a file of the MNIST data set cannot be read.
 * - E_MNIST_FORMAT: a file is not an IDX file of the expected kind.
 * - E_MNIST_DIGEST: a file's sha256 is not the published data set's.
 */
export const DIFFUSION_ERROR_CODES = [
  'E_RANDOM_KEY',
  'E_SCHEDULE',
  'E_SAMPLER',
  'E_MODEL_CONFIG',
  'E_PARAMETERS',
  'E_MICROBATCH',
  'E_LABEL',
  'E_RECIPE',
  'E_OPTIMIZER',
  'E_PRESET',
  'E_MNIST_MISSING',
  'E_MNIST_FORMAT',
  'E_MNIST_DIGEST',
] as const;

export type DiffusionErrorCode = (typeof DIFFUSION_ERROR_CODES)[number];

/** A caller's mistake or unusable data. The message says what happened and what to do; `code` is stable. */
export class DiffusionError extends Error {
  readonly code: DiffusionErrorCode;

  constructor(code: DiffusionErrorCode, message: string) {
    super(message);
    this.name = 'DiffusionError';
    this.code = code;
  }
}
