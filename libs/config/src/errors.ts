/** Every error that loading a config throws, by its stable code. */
export const CONFIG_ERRORS = {
  E_CONFIG_UNKNOWN_KEY:
    'A file, environment variable or flag sets a key that does not exist. Correct its name or remove it.',
  E_CONFIG_BAD_VALUE: 'A key has a value outside what it may have. Give it one that the message allows.',
  E_CONFIG_CONFLICT: 'Two keys contradict each other. Change one of them.',
  E_CONFIG_FILE: 'The config file cannot be read or is not a JSON object. Check the path and the syntax.',
  E_CONFIG_GPUS:
    'Workers on cuda need a GPU each, and fewer can be seen, or none. Start fewer workers, or check CUDA_VISIBLE_DEVICES.',
} as const satisfies Record<string, string>;

export type ConfigErrorCode = keyof typeof CONFIG_ERRORS;

/** What a process exits with when its config is wrong (the shell's convention for wrong usage). */
export const CONFIG_EXIT_CODE = 2;

/** A wrong config; the message names key, value and source, and says what to do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly exitCode = CONFIG_EXIT_CODE;

  constructor(
    readonly code: ConfigErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${message}`, options);
  }
}
