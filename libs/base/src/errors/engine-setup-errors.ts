/** What the set-up of the engine ends by. Thrown before anything is built (tools/engine/errors.mjs). */
import { type ErrorEntry } from './entry.js';

export const ENGINE_SETUP_ERRORS = {
  E_ENGINE_ARGUMENT: {
    happened: 'an unknown flag or device',
    action: '`--device cpu` or `--device cuda`',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_PLATFORM: {
    happened: 'no library for this system, processor or device',
    action: 'use Linux with glibc (x64; arm64 for cpu), or the container image',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_PACKAGE: {
    happened: 'npm packages that it is compiled from are missing',
    action: '`npm ci`',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_PYTHON: {
    happened: 'no `python3`, or it does not run',
    action: 'as the message says',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_PIP: {
    happened: '`python3` has no pip, or it does not run',
    action: 'as the message says',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_COMPILER: {
    happened: 'no `g++`, or it does not run',
    action: 'as the message says',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_DISK: {
    happened: 'too little space, or the folder cannot be written',
    action: 'free some, or set `LOCKSTEP_CACHE`',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_DOWNLOAD: {
    happened: 'the library could not be fetched',
    action: "check network, pip's index and proxy; run it again",
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_HASH: {
    happened: 'a fetched file is not the pinned one',
    action: 'check the mirror that pip uses',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_UNZIP: {
    happened: 'a wheel could not be unpacked',
    action: 'run it again',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_COMPILE: {
    happened: 'the binding or the kernels did not compile',
    action: 'g++ 9 or newer is needed (C++17)',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_ABORTED: {
    happened: 'interrupted; nothing was kept',
    action: 'run it again',
    severity: 'error',
    exit: 1,
  },
} as const satisfies Record<string, ErrorEntry>;
