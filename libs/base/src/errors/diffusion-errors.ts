/** Data, recipes, network and figures of the diffusion task. */
import { USAGE, type ErrorEntry } from './entry.js';

export const DIFFUSION_ERRORS = {
  E_MNIST_MISSING: {
    happened: 'a data file cannot be read',
    action: 'as the message says: `npm ci`, permissions',
    severity: 'error',
    exit: 1,
  },
  E_MNIST_DIGEST: {
    happened: 'a data file is not the published one',
    action: 'as above',
    severity: 'error',
    exit: 1,
  },
  E_DATA_EMPTY: {
    happened: 'a folder, a class or a file holds no image',
    action: 'put images there',
    severity: 'error',
    exit: 1,
  },
  E_DATA_FORMAT: {
    happened:
      'an IDX file is damaged, images and labels differ in number, or it is not clear which folders are classes',
    action: 'as the message says',
    severity: 'error',
    exit: 1,
  },
  E_DATA_PNG: {
    happened: 'an image is no PNG, damaged, transparent, or has more than 8 bits a channel',
    action: 'convert it',
    severity: 'error',
    exit: 1,
  },
  E_DATA_SIZE: {
    happened: "images are not of the model's size or of one size, or too many to hold",
    action: 'resize them; nothing is resized here',
    severity: 'error',
    exit: 1,
  },
  E_DATA_LABEL: {
    happened: "a label is not one of the model's classes, or there are more than 256 classes",
    action: 'correct the labels, or use `--classes 0`',
    severity: 'error',
    exit: 1,
  },
  E_LABEL: {
    happened: "a sample's label, or `--class`, is none of the network's classes",
    action: 'use one that the message allows',
    severity: 'error',
    exit: USAGE,
  },
  E_RECIPE: {
    happened: 'a stored or changed recipe is none, or its parts do not fit',
    action: 'change the option that the message names, or use the version that wrote it',
    severity: 'error',
    exit: USAGE,
  },
  E_CLASSIFIER_DATA: {
    happened: 'images to train the classifier of `lockstep eval` on are missing, or have labels that it does not know',
    action: 'check the data',
    severity: 'error',
    exit: 1,
  },
  E_METRIC: {
    happened: 'a figure of an evaluation was asked of too few images',
    action: 'evaluate with other `--samples`, on data with as many test images',
    severity: 'error',
    exit: 1,
  },
  E_PRESET: {
    happened: 'no such preset',
    action: 'use one that the message names',
    severity: 'error',
    exit: 1,
  },
  E_SCHEDULE: {
    happened: 'an impossible noise schedule',
    action: 'correct its numbers',
    severity: 'error',
    exit: 1,
  },
  E_SAMPLER: {
    happened: 'an impossible sampler setting',
    action: 'correct `--steps` or `--sampler`',
    severity: 'error',
    exit: USAGE,
  },
  E_MODEL_CONFIG: {
    happened: "the model's config describes no network",
    action: 'correct it',
    severity: 'error',
    exit: USAGE,
  },
} as const satisfies Record<string, ErrorEntry>;
