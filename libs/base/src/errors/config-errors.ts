/** What loading a config refuses. */
import { type ErrorEntry } from './entry.js';

export const CONFIG_ERRORS = {
  E_CONFIG_UNKNOWN_KEY: {
    happened: 'a file, variable or flag sets a key that does not exist',
    action: 'correct the name (the message suggests one if it can) or remove it',
    severity: 'error',
    exit: 2,
  },
  E_CONFIG_BAD_VALUE: {
    happened: 'a value is not among those allowed',
    action: 'give one that the message allows',
    severity: 'error',
    exit: 2,
  },
  E_CONFIG_CONFLICT: {
    happened: 'two keys contradict each other',
    action: 'change one of them',
    severity: 'error',
    exit: 2,
  },
  E_CONFIG_FILE: {
    happened: 'the config file cannot be read or is not a JSON object',
    action: 'check path and syntax',
    severity: 'error',
    exit: 2,
  },
  E_CONFIG_GPUS: {
    happened: '`--device cuda` with more workers than GPUs, or none',
    action: 'fewer `--workers`, or set CUDA_VISIBLE_DEVICES',
    severity: 'error',
    exit: 2,
  },
} as const satisfies Record<string, ErrorEntry>;
