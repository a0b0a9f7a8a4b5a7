/** What drawing, exporting and evaluating can fail by. */
import { type ErrorEntry } from './entry.js';

export const SAMPLER_ERRORS = {
  E_SAMPLE_NO_CHECKPOINT: {
    happened: 'the run has no whole checkpoint',
    action: 'train first',
    severity: 'error',
    exit: 1,
  },
  E_SAMPLE_MODEL: {
    happened: 'the checkpoint is not of a model that this version builds',
    action: 'use the version that wrote it',
    severity: 'error',
    exit: 1,
  },
  E_SAMPLE_WORKERS: {
    happened: 'all workers that drew images died, and so did those started in their place',
    action: 'read the messages above it; fewer `--workers` need less memory',
    severity: 'error',
    exit: 1,
  },
  E_SAMPLE_WORKER: {
    happened: 'a process that draws died, or said nothing for too long and was ended',
    action: 'none: its images are drawn by another; if it recurs, fewer `--workers` need less memory',
    severity: 'warning',
    exit: null,
  },
  E_SAMPLE_SIZE: {
    happened: 'the pictures would have more pixels than are written to one file',
    action: 'a smaller `--grid` or `--scale`',
    severity: 'error',
    exit: 2,
  },
  E_SAMPLE_OPTION: {
    happened: 'an option has no such value, or does not go with another one',
    action: 'as the message says',
    severity: 'error',
    exit: 2,
  },
  E_SAMPLE_UNCONDITIONAL: {
    happened: 'a class, guidance or `--synthetic` was asked of a network that knows no classes',
    action: 'leave it out, or train with classes (`--classes`)',
    severity: 'error',
    exit: 2,
  },
  E_EXPORT_EXISTS: {
    happened: '`lockstep export`: the folder is there already',
    action: 'take it away, or name another',
    severity: 'error',
    exit: 1,
  },
  E_EVALUATE_SAMPLES: {
    happened: 'so few or so many samples cannot be judged',
    action: 'give a number that the message allows',
    severity: 'error',
    exit: 2,
  },
  E_EVALUATE_WRITE: {
    happened: 'a file of the evaluation cannot be written',
    action: 'name another file, or make room',
    severity: 'error',
    exit: 1,
  },
} as const satisfies Record<string, ErrorEntry>;
