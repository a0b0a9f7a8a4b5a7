import { LockstepError, type FixedPointErrorCode } from '@lockstep/base';

/** A gradient cannot be summed exactly as asked. */
export class FixedPointError extends LockstepError<FixedPointErrorCode> {
  override readonly name = 'FixedPointError';

  /** `tensor` is the name of the parameter tensor at fault, if one is. */
  constructor(
    code: FixedPointErrorCode,
    text: string,
    readonly tensor: string | null = null,
  ) {
    super(code, text);
  }
}
