/**
 * The three places a value can come from, lowest first: file, environment, flags. Each is turned into settings that carry
 * their source, so that every later message can name it.
 */
import { readFileSync } from 'node:fs';
import { nearest } from './edit-distance.js';
import { ConfigError } from './errors.js';
import { dashed, ENVIRONMENT_PREFIX, environmentName, flagName, type Key, type Keys } from './key.js';

/** Where a value comes from: the layer, and its name for messages. */
export type Origin = { readonly layer: 'file' | 'environment' | 'flag'; readonly source: string };

/** One value for one key, where it comes from, and what was written there. */
export type Setting = {
  readonly key: string;
  readonly value: unknown;
  readonly origin: Origin;
  readonly written: string;
};

/** A parsed flag: text, texts of one given several times, or a value that a library has converted; undefined means not given. */
export type FlagValue = string | readonly string[] | number | boolean | null | undefined;

/** A config file is a few kB; more than this is another kind of file. */
const MAX_FILE_BYTES = 1024 * 1024;

/**
 * Settings of a JSON file: one object, keys as in the schema.
 * @throws ConfigError E_CONFIG_FILE, E_CONFIG_UNKNOWN_KEY.
 */
export function fileLayer(keys: Keys, path: string): Setting[] {
  return Object.entries(readObject(path)).map(([key, value]: [string, unknown]) => {
    if (!Object.hasOwn(keys, key))
      refuseUnknown(
        `key ${JSON.stringify(key)}`,
        JSON.stringify(value),
        `file ${path}`,
        nearest(key, Object.keys(keys)),
      );
    return { key, value, origin: { layer: 'file', source: `file ${path}` }, written: JSON.stringify(value) };
  });
}

/**
 * Settings of LOCKSTEP_* environment variables. `foreign` are variables that other schemas or tools own: a worker started
 * by a coordinator inherits the coordinator's. Any other LOCKSTEP_* variable is an error.
 * @throws ConfigError E_CONFIG_UNKNOWN_KEY.
 */
export function environmentLayer(
  keys: Keys,
  environment: Readonly<Record<string, string | undefined>>,
  foreign: readonly string[],
): Setting[] {
  const byVariable = new Map(Object.keys(keys).map((key) => [environmentName(key), key]));
  const settings: Setting[] = [];
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || text === undefined) continue;
    const key = byVariable.get(variable);
    if (key !== undefined) {
      settings.push({
        key,
        value: keys[key].fromText(text),
        origin: { layer: 'environment', source: `environment variable ${variable}` },
        written: JSON.stringify(text),
      });
    } else if (!foreign.includes(variable)) {
      refuseUnknown(
        variable,
        JSON.stringify(text),
        `environment variable ${variable}`,
        nearest(variable, [...byVariable.keys(), ...foreign]),
      );
    }
  }
  return settings;
}

/**
 * Settings of parsed flags, named as on the command line (global-batch) or as libraries hand them on (globalBatch).
 * @throws ConfigError E_CONFIG_UNKNOWN_KEY.
 */
export function flagLayer(keys: Keys, flags: Readonly<Record<string, FlagValue>>): Setting[] {
  const byFlag = new Map(Object.keys(keys).map((key) => [flagName(keys, key), key]));
  const settings: Setting[] = [];
  for (const [name, value] of Object.entries(flags)) {
    if (value === undefined) continue;
    const key = byFlag.get(name) ?? (Object.hasOwn(keys, name) ? name : undefined);
    const flag = key === undefined ? dashed(name) : flagName(keys, key);
    if (key === undefined) {
      const meant = nearest(flag, [...byFlag.keys()]);
      return refuseUnknown(
        `--${flag}`,
        JSON.stringify(value),
        `flag --${flag}`,
        meant === undefined ? undefined : `--${meant}`,
      );
    }
    settings.push({
      key,
      value: valueOf(keys[key], value),
      origin: { layer: 'flag', source: `flag --${flag}` },
      written: JSON.stringify(value),
    });
  }
  return settings;
}

function valueOf({ fromText, repeated }: Key<unknown>, value: FlagValue): unknown {
  if (typeof value === 'string') return fromText(value);
  return Array.isArray(value) && repeated !== undefined ? repeated.fromTexts(value.map(String)) : value;
}

function readObject(path: string): object {
  let json: unknown;
  try {
    const text = readFileSync(path, 'utf8');
    if (text.length > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`);
    json = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(
      'E_CONFIG_FILE',
      `the config file ${path} cannot be read: ${reason}. Check the path and its JSON.`,
      { cause: error },
    );
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError('E_CONFIG_FILE', `the config file ${path} must hold one JSON object, like {"steps": 1200}.`);
  }
  return json;
}

function refuseUnknown(name: string, written: string, source: string, meant: string | undefined): never {
  const hint = meant === undefined ? 'Remove it; --help lists what there is.' : `Did you mean ${meant}?`;
  throw new ConfigError('E_CONFIG_UNKNOWN_KEY', `unknown ${name} (value ${written}, from ${source}). ${hint}`);
}
