/**
 * Every error of exact sums, by its stable code: a caller's mistake or a diverged gradient:
 * - E_FIXEDPOINT_NON_FINITE  a gradient or an agreed exponent holds NaN or Inf
 * - E_FIXEDPOINT_EXCEEDS     a gradient is larger than the exponent that was agreed for its tensor
 * - E_FIXEDPOINT_SHAPE       arrays and parameter table do not fit each other
 * - E_FIXEDPOINT_ARGUMENT    a number is outside the range for which the sum is proved exact
 * - E_FIXEDPOINT_OVERFLOW    a sum does not fit the wire, which the proof excludes
 */
export type FixedPointErrorCode =
  | 'E_FIXEDPOINT_NON_FINITE'
  | 'E_FIXEDPOINT_EXCEEDS'
  | 'E_FIXEDPOINT_SHAPE'
  | 'E_FIXEDPOINT_ARGUMENT'
  | 'E_FIXEDPOINT_OVERFLOW';

/** A gradient cannot be summed exactly as asked. */
export class FixedPointError extends Error {
  override readonly name = 'FixedPointError';
  /** `tensor` is the name of the parameter tensor at fault, if one is. */
  constructor(
    readonly code: FixedPointErrorCode,
    message: string,
    readonly tensor: string | null = null,
  ) {
    super(`${code}: ${message}`);
  }
}
