/**
 * One frozen config from file, environment and flags, each overriding the ones before. convict holds the values and
 * validates them; it is fed one setting at a time, because its own loading does not say which source a bad value came from.
 */
import convict from 'convict';
import { ConfigError } from './errors.js';
import { environmentName, type Key, type Keys } from './key.js';
import { environmentLayer, fileLayer, flagLayer, type FlagValue, type Setting } from './layers.js';
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

/**
 * Loads and checks a config; the result is frozen.
 * @throws ConfigError (exitCode 2): E_CONFIG_FILE, E_CONFIG_UNKNOWN_KEY, E_CONFIG_BAD_VALUE, E_CONFIG_CONFLICT.
 */
export function loadConfig<N extends SchemaName>({ schema, file, env, flags }: ConfigSources<N>): Configs[N] {
  const { keys, checks } = SCHEMAS[schema];
  const settings = [
    ...(file === undefined ? [] : fileLayer(keys, file)),
    ...environmentLayer(keys, env, foreignVariables()),
    ...flagLayer(keys, flags),
  ];
  const held = emptyConvict(keys);
  const sources = new Map<string, string>();
  for (const setting of settings) {
    apply(held, keys, setting);
    sources.set(setting.key, setting.source);
  }
  const values = held.getProperties();
  // The one boundary: every value has passed the zod schema from which Configs[N] is derived, inside convict.
  const config = Object.freeze(values) as Configs[N];
  checkTogether(config, values, checks, sources);
  return config;
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
  { key, value, source, written }: Setting,
): void {
  try {
    // convict coerces before it validates: "12x" would become 12 under a key whose default is a number, and null would pass.
    formatOf(keys[key])(value);
    held.load({ [key]: value }).validate({ allowed: 'strict' });
  } catch (error) {
    throw new ConfigError(
      'E_CONFIG_BAD_VALUE',
      `${key} is ${written} (from ${source}), but it must be ${keys[key].allowed}.`,
      { cause: error },
    );
  }
}

function checkTogether<C>(
  config: C,
  values: Readonly<Record<string, unknown>>,
  checks: readonly Check<C>[],
  sources: ReadonlyMap<string, string>,
): void {
  for (const check of checks) {
    const conflict = check(config);
    if (!conflict) continue;
    const shown = conflict.keys.map(
      (key) => `${key} is ${JSON.stringify(values[key])} (from ${sources.get(key) ?? 'the default'})`,
    );
    throw new ConfigError('E_CONFIG_CONFLICT', `${conflict.rule}, but ${shown.join(' and ')}. Change one of them.`);
  }
}

/** Every variable that some schema or tool knows. */
function foreignVariables(): string[] {
  return [
    ...PROCESS_VARIABLES,
    ...Object.values(SCHEMAS).flatMap(({ keys }) => Object.keys(keys).map(environmentName)),
  ];
}
