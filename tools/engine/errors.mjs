/** Every code that the engine's set-up can end with. libs/base says what each means (src/errors/engine-setup-errors.ts): it may not be built yet. */
export const ENGINE_INSTALL_ERRORS = Object.freeze(
  /** @type {const} */ ([
    'E_ENGINE_ARGUMENT',
    'E_ENGINE_PLATFORM',
    'E_ENGINE_PACKAGE',
    'E_ENGINE_PYTHON',
    'E_ENGINE_PIP',
    'E_ENGINE_COMPILER',
    'E_ENGINE_DISK',
    'E_ENGINE_DOWNLOAD',
    'E_ENGINE_HASH',
    'E_ENGINE_UNZIP',
    'E_ENGINE_COMPILE',
    'E_ENGINE_ABORTED',
  ]),
);

/** @typedef {typeof ENGINE_INSTALL_ERRORS[number]} EngineInstallCode */

export class EngineInstallError extends Error {
  /** @override */
  name = 'EngineInstallError';
  /**
   * @param {EngineInstallCode} code
   * @param {string} message what happened and what to do
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, options) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}
