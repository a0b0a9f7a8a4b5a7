/** What to do when the engine's files cannot be used: by what the system said, for nothing else is known. */
import { accessSync, constants } from 'node:fs';
import { messageOf, systemCode } from '@lockstep/base';
import { EngineError } from '../errors.js';

/**
 * Passes where the file can be read.
 * @throws {EngineError} E_ENGINE_MISSING where nothing is at `path`, with `fix`; E_ENGINE_LOAD where the system does not let it be read
 */
export function requireFile(path: string, fix: string): void {
  try {
    accessSync(path, constants.R_OK);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new EngineError('E_ENGINE_MISSING', `${path} is not there; ${fix}`, { cause: error });
    throw new EngineError('E_ENGINE_LOAD', `${path} cannot be read: ${messageOf(error)}; ${remedyFor(error, '')}`, {
      cause: error,
    });
  }
}

/** Of an error of Node's loader or of the dynamic linker, which gives its reason as text alone. `folder`: of the engine. */
export function remedyFor(error: unknown, folder: string): string {
  const text = messageOf(error);
  if (systemCode(error) === 'MODULE_NOT_FOUND') return 'run: npm ci';
  if (/EMFILE|ENFILE|too many open files/i.test(text)) return 'raise the limit of open files (ulimit -n)';
  if (/ENOMEM|cannot allocate memory|failed to map segment/i.test(text))
    return 'free memory, or raise the limit of memory (ulimit -v)';
  if (/EACCES|EPERM|permission denied|operation not permitted/i.test(text)) return 'mend permissions';
  if (systemCode(error) === 'ERR_DLOPEN_FAILED')
    return `if files of the engine were changed or cut off, remove ${folder} and run: node tools/engine/install.mjs`;
  return 'the message says what it is';
}
