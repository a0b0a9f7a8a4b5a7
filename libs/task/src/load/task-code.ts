/**
 * The code of a task: its file, and the files that it imports by a relative path, and they by theirs. All processes of a run must have the same.
 *
 * Packages are not looked at: their names are in the code, and whoever installs others changes the task knowingly.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { TaskError } from '../errors.js';

/** sha256 in hex of each file, by its path from the task's folder: a folder that is moved as a whole stays the same. */
export type TaskCode = Readonly<Record<string, string>>;

/** Files of one task; more are a mistake, such as a link that leads to a whole tree of packages. */
const MAX_FILES = 1000;
/** A relative path in quotes where code imports: `from './a.mjs'`, `import './a.mjs'`, `import('./a.mjs')`. */
const IMPORTS = /\b(?:from|import)\s*\(?\s*['"](\.{1,2}\/[^'"\n]+)['"]/g;

/** @param file absolute. @throws E_TASK_MISSING if it, or a file that it imports, is not there or cannot be read */
export function taskCode(file: string): TaskCode {
  const digests = new Map<string, string>();
  const waiting = [file];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const name = relative(dirname(file), path);
    if (digests.has(name)) continue;
    if (digests.size === MAX_FILES)
      throw new TaskError(
        'E_TASK_MODULE',
        `${file} imports more than ${MAX_FILES} files: bundle them, or import a package by its name`,
      );
    const bytes = read(path, file);
    digests.set(name, createHash('sha256').update(bytes).digest('hex'));
    for (const [, imported] of bytes.toString('utf8').matchAll(IMPORTS)) waiting.push(resolve(dirname(path), imported));
  }
  return Object.fromEntries([...digests].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function read(path: string, file: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const who = path === file ? 'the task' : `what ${file} imports`;
    throw new TaskError('E_TASK_MISSING', `${who} cannot be read (${reason}): name the file that it is in`, { cause });
  }
}

/**
 * Checks that a task's code is what the run began with.
 *
 * @throws E_TASK_CODE, with the files that differ
 */
export function checkCode(file: string, then: TaskCode, now: TaskCode): void {
  const names = [...new Set([...Object.keys(then), ...Object.keys(now)])].sort();
  const differences = names.flatMap((name) => {
    const [before, after] = [then[name], now[name]];
    if (before === after) return [];
    return [before === undefined ? `${name} is new` : after === undefined ? `${name} is gone` : `${name} is another`];
  });
  if (differences.length > 0)
    throw new TaskError(
      'E_TASK_CODE',
      `the code of ${file} is not what the run began with: ${differences.join(', ')}. Put it back as it was, or begin a new run`,
    );
}
