/** Every code that the engine's set-up can end with, and what each means. Stable: documentation and scripts refer to them. */
export const ENGINE_INSTALL_ERRORS = Object.freeze({
  E_ENGINE_ARGUMENT: 'a flag or option that the set-up does not know',
  E_ENGINE_PLATFORM: 'no library is published for this system, processor or device',
  E_ENGINE_PACKAGE: 'an npm package that ships the source or the headers is not installed',
  E_ENGINE_PYTHON: 'python3 is not there or does not run',
  E_ENGINE_PIP: 'python3 has no pip, or it does not run',
  E_ENGINE_COMPILER: 'g++ is not there or does not run',
  E_ENGINE_DISK: 'too little free disk space, or a folder that cannot be written',
  E_ENGINE_DOWNLOAD: 'the registry could not be reached or did not answer with the wheel',
  E_ENGINE_HASH: 'a wheel is not the one that was pinned',
  E_ENGINE_UNZIP: 'a wheel could not be unpacked',
  E_ENGINE_COMPILE: 'the binding did not compile',
  E_ENGINE_ABORTED: 'the set-up was interrupted',
});

export class EngineInstallError extends Error {
  name = 'EngineInstallError';
  /** @param {keyof typeof ENGINE_INSTALL_ERRORS} code @param {string} message what happened and what to do */
  constructor(code, message, options) {
    super(`${code}: ${message}`, options);
    this.code = code;
  }
}
