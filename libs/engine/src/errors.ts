/** Every code with which this library's errors are marked, and what each means. Stable: documentation refers to them. */
export const ENGINE_ERRORS = Object.freeze({
  E_ENGINE_MISSING: 'no engine lies in the folder given; it has to be set up first',
  E_ENGINE_ENVIRONMENT: 'the process was started without the environment that the library reads when it is loaded',
  E_ENGINE_GPU: 'the CUDA engine was asked for but finds no GPU that it can use',
  E_ENGINE_LOAD: 'the library or the npm package around it could not be loaded',
  E_ENGINE_LOADED: 'an engine is loaded already, with other options; there is one engine a thread',
  E_ENGINE_RECORDING: 'a function was compiled inside another that is being recorded',
  E_ENGINE_HOST_READ: 'the function reads a computed tensor on the host, which a graph cannot do',
  E_ENGINE_UNSUPPORTED:
    'the function uses an op, a tensor or an attribute that a graph cannot hold or would not repeat',
  E_ENGINE_SIDE_EFFECT: 'the function changes or keeps something outside, which a graph would not do again',
  E_ENGINE_IMPURE: 'the function does not do the same each time: it draws random numbers, reads a clock or counts',
  E_ENGINE_CAPTURE: 'the function uses a tensor from outside, by which a graph kept on disk would not be known',
  E_ENGINE_OUTPUT: 'an output is not computed by the graph, or has another type or shape than was recorded',
  E_ENGINE_INPUT: 'inputs do not have the number, types or lengths that the function was compiled for',
  E_ENGINE_MODEL: 'TensorFlow does not load the graph',
  E_ENGINE_DISPOSED: 'a compiled function was run after dispose()',
  E_ENGINE_CACHE: 'the folder of compiled graphs cannot be used; a warning: every process records for itself',
  E_ENGINE_CACHE_FILE: 'a compiled graph on disk is damaged; a warning: it is recorded again and replaced',
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
