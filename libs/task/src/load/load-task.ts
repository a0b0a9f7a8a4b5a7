/** Loads a task from a file: imports it, and makes of its default export what all of Lockstep takes. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { shown, within } from '../define/checks.js';
import { definedModule, isDefinition } from '../define/defined-task.js';
import { TaskError } from '../errors.js';
import type { TaskModule } from '../task.js';
import { taskCode, type TaskCode } from './task-code.js';

export type LoadedTask = {
  readonly module: TaskModule;
  /** As it was when it was imported. */
  readonly code: TaskCode;
};

/** Loading code takes far less than a second; an `await` at its top that nothing ends takes for ever. */
export const LOAD_LIMIT_MS = 60_000;

/**
 * @param file relative to the working directory
 * @throws E_TASK_MISSING, E_TASK_MODULE, E_TASK_TIMEOUT
 */
export async function loadTask(file: string, limitMs: number = LOAD_LIMIT_MS): Promise<LoadedTask> {
  const path = resolve(file);
  const code = taskCode(path);
  const exported = await defaultExport(path, limitMs);
  if (isDefinition(exported)) return { module: definedModule(exported, path), code };
  if (isModule(exported)) return { module: exported, code };
  throw new TaskError(
    'E_TASK_MODULE',
    exported === undefined
      ? `${path} has no default export: write export default { name, create }`
      : `the default export of ${path} is ${shown(exported)}: it must be an object with a name and a function create`,
  );
}

async function defaultExport(path: string, limitMs: number): Promise<unknown> {
  const imported: Promise<unknown> = import(pathToFileURL(path).href);
  try {
    const module = await within(imported, limitMs, `importing ${path}`);
    return typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined;
  } catch (error) {
    if (error instanceof TaskError) throw error;
    throw new TaskError('E_TASK_MODULE', `${path} cannot be loaded: ${String(error)}${whereOf(error, path)}`, {
      cause: error,
    });
  }
}

/** Where in the file it is. Of a mistake in the language Node tells nobody but whoever reads its own output. */
function whereOf(error: unknown, path: string): string {
  if (error instanceof SyntaxError) return `; node --check ${path} shows where`;
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const at = stack.indexOf(path);
  const line = at < 0 ? undefined : /^:(\d+)/.exec(stack.slice(at + path.length))?.[1];
  return line === undefined ? '' : `, in line ${line}`;
}

function isModule(value: unknown): value is TaskModule {
  return typeof value === 'object' && value !== null && 'create' in value && typeof value.create === 'function';
}
