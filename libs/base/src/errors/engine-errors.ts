/** The tensor engine and what is compiled for it. */
import { type ErrorEntry } from './entry.js';

export const ENGINE_ERRORS = {
  E_ENGINE_MISSING: {
    happened: 'no engine is set up',
    action: '`node tools/engine/install.mjs --device cpu` (or `cuda`)',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_ENVIRONMENT: {
    happened: 'the process lacks variables that TensorFlow reads',
    action: 'set those that the message names',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_GPU: {
    happened: 'the CUDA engine finds no GPU',
    action: 'check `nvidia-smi` and the container, or use the CPU',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_LOAD: {
    happened: 'library or npm package cannot be read or loaded',
    action: 'as the message says',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_LOADED: {
    happened: 'this thread has an engine with other options',
    action: 'use it, or another process',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_RECORDING: {
    happened: '`compile()` inside a function that is being compiled',
    action: 'fix the caller',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_HOST_READ: {
    happened: 'the compiled function reads a computed tensor',
    action: 'fix the compiled function',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_UNSUPPORTED: {
    happened: 'the compiled function uses what a graph cannot hold',
    action: 'fix the compiled function',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_OUTPUT: {
    happened: 'an output is not computed by the graph',
    action: 'fix the recorded function',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_SIDE_EFFECT: {
    happened: 'the compiled function changes or keeps something outside',
    action: 'return it instead',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_IMPURE: {
    happened: 'the compiled function does not do the same each time',
    action: 'hand in what changes',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_CAPTURE: {
    happened: 'a tensor from outside in a graph that is to be kept',
    action: 'make it an input',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_CACHE: {
    happened: 'the folder of graphs cannot be used; all is compiled anew',
    action: 'make it writable, or set `LOCKSTEP_CACHE`',
    severity: 'warning',
    exit: null,
  },
  E_ENGINE_CACHE_FILE: {
    happened: 'a kept graph is damaged; it is compiled again',
    action: 'nothing; check the disk if it recurs',
    severity: 'warning',
    exit: null,
  },
  E_ENGINE_INPUT: {
    happened: 'inputs differ in number, type or length',
    action: 'fix the caller',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_MODEL: {
    happened: 'the bytes are not a graph of this library',
    action: 'fix the caller',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_DISPOSED: {
    happened: 'a compiled function was run after `dispose()`',
    action: 'fix the caller',
    severity: 'error',
    exit: 1,
  },
  E_ENGINE_OPTION: {
    happened: 'a number of threads or a device that no engine has',
    action: 'give one that the message allows',
    severity: 'error',
    exit: 1,
  },
} as const satisfies Record<string, ErrorEntry>;
