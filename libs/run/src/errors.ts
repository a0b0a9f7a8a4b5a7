import { getSystemErrorMap } from 'node:util';

/** Every error that this library throws on purpose, by its stable code; the text says what the code means and what to do. */
export const CHECKPOINT_ERRORS = {
  E_SAFETENSORS_ENTRY:
    'A tensor or metadata entry cannot be written as safetensors. Fix the caller: names unique, shape matching the data.',
  E_SAFETENSORS_HEADER:
    'A safetensors header is malformed, too large or cut off. Take the file from another checkpoint.',
  E_SAFETENSORS_DUPLICATE: 'A safetensors header names a key twice. Take the file from another checkpoint.',
  E_SAFETENSORS_DTYPE: 'A safetensors file holds an element type other than F32. Convert it to F32 first.',
  E_SAFETENSORS_LAYOUT:
    'Safetensors offsets overlap, leave holes, leave the file, or contradict a shape. Take the file from another checkpoint.',
  E_STATE_TABLE:
    'A parameter table or state array has the wrong length or layout. Fix the caller, or use the model that the state was trained with.',
  E_STATE_FORMAT: 'Bytes received as a training state are not one, or are cut off. Fetch the state again.',
  E_STATE_VERSION:
    'A training state has an encoding version that this build does not read. Run the same Lockstep version on both ends.',
  E_STATE_LENGTH:
    'A training state has another parameter count than the model. Check that both ends run the same preset.',
  E_JSON_VALUE: 'A value has no JSON form (NaN, Infinity, undefined, function). Fix the caller.',
  E_CHECKPOINT_WRITE:
    'A checkpoint could not be written (disk full, permissions, I/O). Older checkpoints are untouched; free space and publish again.',
  E_CHECKPOINT_CONFLICT: 'Another checkpoint with other content exists at this step. Use a new run directory.',
  E_CHECKPOINT_MISSING: 'There is no checkpoint at this step. List the steps and take one of them.',
  E_CHECKPOINT_CORRUPT:
    'A checkpoint is incomplete or its bytes do not match its manifest. Use an older one, and check the disk.',
  E_CHECKPOINT_READ: 'A checkpoint could not be read (permissions, I/O). Make it readable and try again.',
  E_CHECKPOINT_KEEP: 'The number of checkpoints to keep is not a whole number of at least 1. Pass 1 or more.',
  E_RUN_MISSING: 'The folder holds no run.json. Check the path, or start a run there.',
  E_RUN_CONFLICT:
    'The folder holds a run of which something else was asked. Leave out what the message names, or choose a new folder.',
  E_RUN_CORRUPT: 'run.json is damaged. Restore it from a copy, or start in a new folder.',
  E_RUN_READ: 'run.json could not be read (permissions, I/O, open files). Do what the message says and try again.',
  E_ORIGIN_STATE:
    'The state of another run that the run starts from is missing or damaged. Restore the folder origin/ from a copy.',
  E_RUN_WRITE: 'The run folder could not be written (space, permissions, open files). Do what the message says.',
  E_OUTPUT_PATH:
    'A result cannot be written to the file that was named for it (no such folder, a folder, not permitted). Name another file.',
  E_OUTPUT_WRITE: 'The file of a result could not be written (disk full, I/O). Make room, or name another file.',
  E_EVALUATION_FORMAT: 'A text is no evaluation of this version of Lockstep. Evaluate the run again: lockstep eval.',
  E_LEDGER_ENTRY: 'What was to be recorded does not have the form of a ledger entry or record. Fix the caller.',
  E_LEDGER_GAP: 'Steps must be appended one after another. Append the missing step first.',
  E_LEDGER_DIVERGED:
    'A redone step gave another digest than the ledger holds. Do not go on: find the machine that computes differently.',
  E_LEDGER_GENERATION: 'A generation number must never fall. Use one above the stored generation.',
  E_LEDGER_CLASS:
    "The run has another numerics class than the one to be recorded. Admit the worker, or refuse it; a run's class never changes.",
  E_LEDGER_ORIGIN:
    'The ledger names another state that the run starts from. Restore ledger and run.json from one copy.',
  E_LEDGER_BRANCH:
    'Entries cannot be cut off: the run is reproducible, has no such entry, or went back too often. The message says what to do.',
  E_LEDGER_LOCKED:
    'Another process writes this ledger, or may. Stop it first; the message names its process id and host. Of one that cannot be seen, --take-over says that it is gone.',
  E_LEDGER_LOCK_LOST:
    "The process that held the ledger's lock for this one was killed, and the lock cannot be had again. See that one coordinator alone runs, and resume.",
  E_LEDGER_MISSING: 'There is no ledger in this folder. Check the path.',
  E_LEDGER_VERSION:
    'The ledger has the format of another version of Lockstep. Go on with that version, or start a new run.',
  E_LEDGER_CORRUPT: 'The ledger file is damaged. Restore it from a copy; without it, redone steps cannot be checked.',
  E_LEDGER_READ:
    'The ledger could not be read or checked, so nothing is known of it. Do what the message says and try again.',
  E_LEDGER_WRITE: 'The ledger could not be written (space, permissions, open files). Do what the message says.',
  E_LEDGER_CLOSED: 'The ledger was used after close(). Open it again.',
} as const satisfies Record<string, string>;

export type CheckpointErrorCode = keyof typeof CHECKPOINT_ERRORS;

/** An expected failure with a stable `code`; its message says what happened and what to do. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';

  constructor(
    readonly code: CheckpointErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(`${code}: ${message}`, options);
  }
}

/** The `code` of a system error (ENOENT, EEXIST, ...), of Node or, as a number, of LMDB; undefined for any other value. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error && 'code' in error)) return undefined;
  if (typeof error.code === 'string') return error.code;
  // LMDB's own codes are negative.
  return typeof error.code === 'number' && error.code > 0 ? getSystemErrorMap().get(-error.code)?.[0] : undefined;
}

/** Whether the operating system gave this error; others have codes too, such as Node's ERR_ENCODING_INVALID_ENCODED_DATA. */
export function isSystemError(error: unknown): boolean {
  const code = systemCode(error);
  return code !== undefined && [...getSystemErrorMap().values()].some(([name]) => name === code);
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'free space',
  EDQUOT: 'free space, or have the quota raised',
  EFBIG: 'raise the limit of file sizes (ulimit -f)',
  EACCES: 'mend permissions',
  EPERM: 'mend permissions',
  EROFS: 'it is on a file system that is mounted read-only: use another one',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENFILE: "raise the system's limit of open files (sysctl fs.file-max)",
  ENOMEM: 'free memory, or raise the limit of memory (ulimit -v)',
  EIO: 'check the disk',
  ENOENT: 'check the path',
  ENOTDIR: 'check the path',
  EISDIR: 'check the path',
  ELOOP: 'check the path',
  ENAMETOOLONG: 'use a shorter path',
};

/** What to do about an error of the file system: no more than its code says, for nothing else is known. */
export function remedyFor(error: unknown): string {
  return REMEDIES[systemCode(error) ?? ''] ?? 'look at the file system that it is on';
}

/** What the system says of an error, in its words alone: the rest of Node's message repeats call and path, which may be a temporary one. */
export function systemReason(error: unknown): string {
  const number = error instanceof Error && 'errno' in error ? error.errno : undefined;
  const known = typeof number === 'number' ? getSystemErrorMap().get(number) : undefined;
  return known?.[1] ?? messageOf(error);
}

/** The message of any thrown value, for use inside another message. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
