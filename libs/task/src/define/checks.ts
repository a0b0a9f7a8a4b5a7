/** Looks at what a task's author handed over, whose types nothing has checked. Each complaint names the place and what to write there. */
import type { TaskErrorCode } from '@lockstep/base';
import { TaskError } from '../errors.js';

/** A value and where it was found: `create: parameters[3].shape`. */
export class Found {
  constructor(
    private readonly value: unknown,
    private readonly place: string,
    private readonly code: TaskErrorCode,
  ) {}

  /** Ends with the place, what is wrong, and what is there. */
  fail(wanted: string): never {
    throw new TaskError(this.code, `${this.place} is ${shown(this.value)}: ${wanted}`);
  }

  get missing(): boolean {
    return this.value === undefined;
  }

  /** A member of an object. */
  at(name: string): Found {
    if (this.value instanceof Promise) this.fail('its function must be synchronous, and return the object itself');
    if (typeof this.value !== 'object' || this.value === null) this.fail('it must be an object');
    return new Found(
      Reflect.get(this.value, name),
      /: $/.test(this.place) ? this.place + name : `${this.place}.${name}`,
      this.code,
    );
  }

  /** As `fallback` where there is nothing. */
  or<T>(fallback: T, read: (found: Found) => T): T {
    return this.missing ? fallback : read(this);
  }

  text(): string {
    return typeof this.value === 'string' && this.value !== ''
      ? this.value
      : this.fail('it must be a text that is not empty');
  }

  number(least: number, most: number): number {
    const { value } = this;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    return this.fail(most === Infinity ? `use a number of ${least} or more` : `use a number from ${least} to ${most}`);
  }

  integer(least: number, most: number): number {
    return Number.isInteger(this.value) ? this.number(least, most) : this.fail('use a whole number');
  }

  list(): Found[] {
    if (!Array.isArray(this.value)) this.fail('it must be a list');
    return this.value.map((item: unknown, index) => new Found(item, `${this.place}[${index}]`, this.code));
  }

  /** A list of texts, none twice. */
  names(): string[] {
    return this.different(this.list().map((name) => name.text()));
  }

  /** The names of the objects in this list, none twice. */
  namesOf(items: readonly Found[]): string[] {
    return this.different(items.map((item) => item.at('name').text()));
  }

  private different(names: string[]): string[] {
    const twice = names.find((name, index) => names.indexOf(name) < index);
    if (twice === undefined) return names;
    throw new TaskError(
      this.code,
      `${this.place} has the name ${JSON.stringify(twice)} twice: give each a name of its own`,
    );
  }

  oneOf<T extends string>(choices: readonly T[]): T {
    const chosen = choices.find((choice) => choice === this.value);
    return chosen ?? this.fail(`use one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}`);
  }

  /** A function of the object that it is in, to be called with what its author expects. */
  callable(): (...given: unknown[]) => unknown {
    const { value } = this;
    return typeof value === 'function'
      ? (...given) => Reflect.apply(value, undefined, given) as unknown
      : this.fail('it must be a function');
  }

  /** What was found, as it is. */
  raw(): unknown {
    return this.value;
  }

  object(): object {
    return typeof this.value === 'object' && this.value !== null ? this.value : this.fail('it must be an object');
  }
}

/** A value in a line of text: enough of it to be recognised. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (value instanceof Promise) return 'a promise';
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name}`;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return 'an object';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return value === undefined ? 'missing' : JSON.stringify(value).slice(0, 80);
}

/**
 * Runs a function of the author's. What it throws is an error with `code` that names the function and the line of the task's file;
 * errors that carry a code of this library's own already are thrown on.
 */
export function calling<T>(name: string, code: TaskErrorCode, file: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw thrownBy(name, code, file, error);
  }
}

/** The error that says what a function of the author's threw. */
export function thrownBy(name: string, code: TaskErrorCode, file: string, error: unknown): Error {
  if (error instanceof TaskError) return error;
  const line = error instanceof Error ? error.stack?.split('\n').find((text) => text.includes(file)) : undefined;
  const place = /:(\d+:\d+)\)?$/.exec(line ?? '')?.[1];
  const at = place === undefined ? '' : `, in line ${place.replace(':', ', column ')}`;
  const said = error instanceof Error ? `${error.name}: ${error.message}` : shown(error);
  return new TaskError(code, `${name} of ${file} threw ${said}${at}`, { cause: error });
}

/** What a promise of the author's comes to, or an error where it does not within `limitMs`. */
export async function within<T>(promise: Promise<T>, limitMs: number, name: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new TaskError(
          'E_TASK_TIMEOUT',
          `${name} gives a promise that has not resolved for ${limitMs / 1000} s: mend what it waits for`,
        ),
      );
    }, limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
