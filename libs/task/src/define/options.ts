/** A task's options: their defaults, and what a run chose in place of them. */
import { isJsonObject, type JsonObject, type JsonValue } from '@lockstep/base';
import { TaskError } from '../errors.js';
import { COMMON_KEYS } from '../task.js';
import type { Found } from './checks.js';
import type { Options, OptionValue } from './definition.js';

/** What a defined task's recipe says: what was chosen, with all that follows from it. */
export type DefinedRecipe = {
  readonly options: Options;
  /** Those of COMMON_KEYS that were given in place of what the author's `create` says. */
  readonly given: Readonly<Record<string, number>>;
};

/** The options of a definition, with their defaults. @throws E_TASK_MODULE */
export function defaultsOf(found: Found): Options {
  return Object.fromEntries(
    Object.keys(found.object()).map((name): [string, OptionValue] => {
      const value = found.at(name).raw();
      if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return [name, value];
      return found.at(name).fail('a default is a number, a text, true or false');
    }),
  );
}

/** The recipe in a run's files. @throws E_TASK_OPTION where it is no recipe of this task */
export function storedRecipe({ options, given }: JsonObject, defaults: Options): DefinedRecipe {
  return {
    options: optionsOf(defaults, isJsonObject(options) ? options : {}),
    given: givenOf(isJsonObject(given) ? given : {}),
  };
}

/** What a choice says by the keys that fit any task. */
export function givenOf(choice: JsonObject): Record<string, number> {
  return Object.fromEntries(
    COMMON_KEYS.flatMap((key): [string, number][] => {
      const value = choice[key];
      return typeof value === 'number' ? [[key, value]] : [];
    }),
  );
}

/** `base` with what a choice says; a text is read as the type of the option. @throws E_TASK_OPTION */
export function optionsOf(base: Options, choice: JsonObject): Options {
  const common: readonly string[] = COMMON_KEYS;
  const unknown = Object.keys(choice).find((name) => !(name in base) && !common.includes(name));
  if (unknown !== undefined) {
    const known = Object.keys(base);
    throw new TaskError(
      'E_TASK_OPTION',
      `the task has no option ${unknown}: ${known.length === 0 ? 'it has none' : `its options are ${known.join(', ')}`}`,
    );
  }
  return Object.fromEntries(
    Object.entries(base).map(([name, value]) => [name, name in choice ? readOption(name, value, choice[name]) : value]),
  );
}

function readOption(name: string, base: OptionValue, given: JsonValue): OptionValue {
  switch (typeof base) {
    case 'number': {
      const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
      if (typeof value === 'number' && Number.isFinite(value)) return value;
      break;
    }
    case 'boolean':
      if (given === true || given === 'true') return true;
      if (given === false || given === 'false') return false;
      break;
    case 'string':
      if (typeof given === 'string') return given;
      break;
    default:
      base satisfies never;
  }
  const wanted = typeof base === 'number' ? 'a number' : typeof base === 'boolean' ? 'true or false' : 'a text';
  throw new TaskError('E_TASK_OPTION', `option ${name} is ${JSON.stringify(given)}: use ${wanted}, as ${String(base)}`);
}
