/** The exact sum: a caller's mistake, or a gradient that has diverged. */
import { type ErrorEntry } from './entry.js';

export const EXACT_ERRORS = {
  E_FIXEDPOINT_NON_FINITE: {
    happened: 'a gradient or agreed exponent is NaN or Inf',
    action: "check that worker's memory; report a bug",
    severity: 'error',
    exit: { worker: 1 },
  },
  E_FIXEDPOINT_EXCEEDS: {
    happened: 'a gradient is larger than the agreed exponent allows',
    action: "check that worker's memory; report a bug",
    severity: 'error',
    exit: { worker: 1 },
  },
  E_FIXEDPOINT_SHAPE: {
    happened: 'arrays and parameter table do not fit',
    action: 'run one version everywhere; else fix the caller',
    severity: 'error',
    exit: { worker: 1 },
  },
  E_FIXEDPOINT_ARGUMENT: {
    happened: 'a number outside the range in which the sum is exact',
    action: 'fewer microbatches; else fix the caller',
    severity: 'error',
    exit: { worker: 1 },
  },
  E_FIXEDPOINT_OVERFLOW: {
    happened: 'a sum does not fit int16 (`--wire int16`); nothing was sent',
    action: "check that worker's memory; report a bug",
    severity: 'error',
    exit: { worker: 1 },
  },
} as const satisfies Record<string, ErrorEntry>;
