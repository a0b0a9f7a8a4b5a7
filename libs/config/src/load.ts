/**
 * One frozen config from file, environment and flags, each overriding the ones before. convict holds the values and
 * validates them; it is fed one setting at a time, because its own loading does not say which source a bad value came from.
 */
import convict from 'convict';
import { ConfigError } from './errors.js';
import { environmentName, type Key, type Keys } from './key.js';
import { environmentLayer, fileLayer, flagLayer, type FlagValue, type Origin, type Setting } from './layers.js';
import type { Check } from './schema.js';
import { PROCESS_VARIABLES, SCHEMAS, type Configs, type SchemaName } from './schemas.js';

export type ConfigSources<N extends SchemaName> = {
  readonly schema: N;
  /** Path of a JSON file. */
  readonly file?: string;
  /** process.env, or any part of it; only LOCKSTEP_* is looked at. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By flag name, with or without dashes inside (global-batch, globalBatch); undefined: not given. */
  readonly flags: Readonly<Record<string, FlagValue>>;
};

/** Where each value that was given came from, by key, in words: a key that is not in here has its default. */
export type Given = ReadonlyMap<string, Origin>;

export type LoadedConfig<C> = { readonly config: C; readonly given: Given };

/**
 * Loads and checks a config; the result is frozen.
 * @throws ConfigError E_CONFIG_FILE, E_CONFIG_UNKNOWN_KEY, E_CONFIG_BAD_VALUE, E_CONFIG_CONFLICT.
 */
export function loadConfig<N extends SchemaName>(sources: ConfigSources<N>): Configs[N] {
  return loadGiven(sources).config;
}

/** The same, with what was given and where. @throws as loadConfig */
export function loadGiven<N extends SchemaName>({
  schema,
  file,
  env,
  flags,
}: ConfigSources<N>): LoadedConfig<Configs[N]> {
  const { keys, checks } = SCHEMAS[schema];
  const settings = [
    ...(file === undefined ? [] : fileLayer(keys, file)),
    ...environmentLayer(keys, env, foreignVariables()),
    ...flagLayer(keys, flags),
  ];
  const held = emptyConvict(keys);
  const given = new Map<string, Origin>();
  for (const setting of settings) {
    apply(held, keys, setting);
    given.set(setting.key, setting.origin);
  }
  const values = held.getProperties();
  for (const value of Object.values(values)) Object.freeze(value);
  // The one boundary: every value has passed the zod schema from which Configs[N] is derived, inside convict.
  const config = Object.freeze(values) as Configs[N];
  checkTogether(config, values, checks, given);
  return { config, given };
}

function emptyConvict(keys: Keys): convict.Config<Record<string, unknown>> {
  const schema = Object.fromEntries(
    Object.entries(keys).map(([name, key]) => [
      name,
      { default: key.default, doc: key.doc, nullable: true, format: formatOf(key) },
    ]),
  );
  // Explicit empty env and args: convict would else read those of the process.
  const held = convict<Record<string, unknown>>(schema, { env: {}, args: [] });
  return held.validate({ allowed: 'strict' });
}

function formatOf(key: Key<unknown>): (value: unknown) => void {
  return (value) => {
    if (!key.schema.safeParse(value).success) throw new Error(`must be ${key.allowed}`);
  };
}

function apply(
  held: convict.Config<Record<string, unknown>>,
  keys: Keys,
  { key, value, origin, written }: Setting,
): void {
  try {
    // convict coerces before it validates: "12x" would become 12 under a key whose default is a number, and null would pass.
    formatOf(keys[key])(value);
    held.load({ [key]: value }).validate({ allowed: 'strict' });
  } catch (error) {
    throw new ConfigError(
      'E_CONFIG_BAD_VALUE',
      `${key} is ${written} (from ${origin.source}), but it must be ${keys[key].allowed}.`,
      { cause: error },
    );
  }
}

function checkTogether<C>(
  config: C,
  values: Readonly<Record<string, unknown>>,
  checks: readonly Check<C>[],
  given: Given,
): void {
  for (const check of checks) {
    const conflict = check(config);
    if (!conflict) continue;
    const parts = conflict.keys.map((key) => ({
      key,
      value: values[key],
      source: given.get(key)?.source ?? 'the default',
    }));
    throw contradiction(conflict.rule, parts);
  }
}

/** A value that breaks a rule together with others, and where it came from, in words. */
export type Part = { readonly key: string; readonly value: unknown; readonly source: string };

/** E_CONFIG_CONFLICT for values that are each valid, but break `rule` together. */
export function contradiction(rule: string, parts: readonly Part[]): ConfigError {
  const shown = parts.map(({ key, value, source }) => `${key} is ${JSON.stringify(value)} (from ${source})`);
  return new ConfigError('E_CONFIG_CONFLICT', `${rule}, but ${shown.join(' and ')}. Change one of them.`);
}

/** Every variable that some schema or tool knows. */
function foreignVariables(): string[] {
  return [
    ...PROCESS_VARIABLES,
    ...Object.values(SCHEMAS).flatMap(({ keys }) => Object.keys(keys).map(environmentName)),
  ];
}
