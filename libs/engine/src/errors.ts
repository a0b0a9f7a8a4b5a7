/** Every code with which this library's errors are marked, and what each means. Stable: documentation refers to them. */
export const ENGINE_ERRORS = Object.freeze({
  E_ENGINE_MISSING: 'no engine lies in the folder given; it has to be set up first',
  E_ENGINE_ENVIRONMENT: 'the process was started without the environment that the library reads when it is loaded',
  E_ENGINE_GPU: 'the CUDA engine was asked for but finds no GPU that it can use',
  E_ENGINE_LOAD: 'the library or the npm package around it could not be loaded',
  E_ENGINE_LOADED: 'an engine is loaded already, with other options; there is one engine a thread',
  E_ENGINE_RECORDING: 'a recording was started inside another recording',
  E_ENGINE_HOST_READ: 'the recorded function reads a computed tensor on the host, which a graph cannot do',
  E_ENGINE_UNSUPPORTED: 'the recorded function uses a kind of tensor or attribute that a recording cannot hold',
  E_ENGINE_OUTPUT: 'an output of the recorded function is not computed by the graph',
  E_ENGINE_INPUT: 'inputs do not have the number, types or lengths that the function was recorded with',
  E_ENGINE_MODEL: 'the bytes given are not a recording of this library',
  E_ENGINE_DISPOSED: 'a recording was run after dispose()',
});

export type EngineErrorCode = keyof typeof ENGINE_ERRORS;

/** An error with a stable code of ENGINE_ERRORS; the message says what happened and what to do. */
export class EngineError extends Error {
  override readonly name = 'EngineError';

  constructor(
    readonly code: EngineErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${message}`, options);
  }
}
