/** A command line as the config's topmost layer. */
import { parseArgs } from 'node:util';
import { ConfigError } from './errors.js';
import { flagName } from './key.js';
import type { FlagValue } from './layers.js';
import { SCHEMAS, type SchemaName } from './schemas.js';

/** The flag that names a config file; no schema has a key of this name. */
const FILE_FLAG = 'config';

/**
 * Splits `argv` (without node and script) into the config file's path and flags, to be handed to loadConfig, which names
 * unknown and bad ones. `--key value` and `--key=value` both work; a switch is `--key`, or `--key=true`.
 * @throws ConfigError E_CONFIG_UNKNOWN_KEY for an argument that is no flag.
 */
export function parseFlags(
  schema: SchemaName,
  argv: readonly string[],
): { file?: string; flags: Record<string, FlagValue> } {
  const types = Object.entries(SCHEMAS[schema].keys).map(
    ([key, { isSwitch }]) => [flagName(key), { type: isSwitch === true ? 'boolean' : 'string' }] as const,
  );
  const options = Object.fromEntries([...types, [FILE_FLAG, { type: 'string' }] as const]);
  const { values, positionals } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true });
  const [stray] = positionals;
  if (stray !== undefined) {
    throw new ConfigError(
      'E_CONFIG_UNKNOWN_KEY',
      `${JSON.stringify(stray)} on the command line is not a flag; write --key value.`,
    );
  }
  const { [FILE_FLAG]: file, ...flags } = values;
  const single = Object.fromEntries(
    Object.entries(flags).filter((entry): entry is [string, string | boolean] => !Array.isArray(entry[1])),
  );
  return typeof file === 'string' ? { file, flags: single } : { flags: single };
}
