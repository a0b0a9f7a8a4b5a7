/**
 * Every error code of this library, with what it means.
 *
 * - E_SCHEDULE: a noise schedule was asked for with impossible numbers.
 * - E_SAMPLER: a sampler was asked for with impossible numbers, or its noise predictor returned the wrong length.
 * - E_MODEL_CONFIG: a model's config does not describe a network that can be built.
 * - E_PARAMETERS: parameters do not have the length that the model's table says.
 * - E_MICROBATCH: a microbatch was asked for that the step does not have, or the sizes do not divide.
 * - E_LABEL: a sample's label, or the class to be drawn, is none of the network's classes.
 * - E_RECIPE: a stored or changed recipe has not the form of one, or its parts do not fit each other.
 * - E_PRESET: no preset has this name.
 * - E_MNIST_MISSING: a file of the MNIST data set cannot be read.
 * - E_MNIST_DIGEST: a file's sha256 is not the published data set's.
 * - E_DATA_MISSING: a folder, file or link of training data leads nowhere, cannot be read, or is no plain file.
 * - E_DATA_EMPTY: a folder, a class or a file holds no image.
 * - E_DATA_FORMAT: an IDX file is not one or cut off, images and labels differ in number, or it is not clear which folders are classes.
 * - E_DATA_PNG: an image is no PNG, damaged, transparent, or has more than 8 bits a channel.
 * - E_DATA_SIZE: images are not of the model's size or of one size, or more than can be held.
 * - E_DATA_LABEL: a label is not one of the model's classes, or there are too many classes.
 * - E_DATA_CHANGED: training data is not what the run began with.
 * - E_CLASSIFIER_DATA: images to train a classifier on are missing, or have labels that it does not know.
 * - E_METRIC: a metric of evaluation was asked of too few images, or of arrays that do not fit together.
 */
export const DIFFUSION_ERROR_CODES = [
  'E_SCHEDULE',
  'E_SAMPLER',
  'E_MODEL_CONFIG',
  'E_PARAMETERS',
  'E_MICROBATCH',
  'E_LABEL',
  'E_RECIPE',
  'E_PRESET',
  'E_MNIST_MISSING',
  'E_MNIST_DIGEST',
  'E_DATA_MISSING',
  'E_DATA_EMPTY',
  'E_DATA_FORMAT',
  'E_DATA_PNG',
  'E_DATA_SIZE',
  'E_DATA_LABEL',
  'E_DATA_CHANGED',
  'E_CLASSIFIER_DATA',
  'E_METRIC',
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
