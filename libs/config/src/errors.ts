import { LockstepError, type ConfigErrorCode } from '@lockstep/base';

/** A wrong config; the message names key, value and source, and says what to do. */
export class ConfigError extends LockstepError<ConfigErrorCode> {
  override readonly name = 'ConfigError';
}
