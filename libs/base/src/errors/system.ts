/** Errors of the operating system, of Node and of LMDB, in words for a message of ours. */
import { getSystemErrorMap } from 'node:util';

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
