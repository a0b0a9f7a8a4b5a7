/** A command line as the config's topmost layer. */
import { parseArgs } from 'node:util';
import { ConfigError } from './errors.js';
import { flagName } from './key.js';
import type { FlagValue } from './layers.js';
import { SCHEMAS, type SchemaName } from './schemas.js';

/** The flag that names a config file; no schema has a key of this name. */
const FILE_FLAG = 'config';

/** What node:util is told of a flag, and what it makes of it. */
type Accepted = { readonly type: 'boolean' | 'string'; readonly multiple?: boolean };
type Parsed = string | boolean | readonly (string | boolean)[] | undefined;

/**
 * Splits `argv` (without node and script) into the config file's path and flags, to be handed to loadConfig, which names
 * unknown and bad ones. `--key value` and `--key=value` both work; a switch is `--key`, or `--key=true`.
 * @throws ConfigError E_CONFIG_UNKNOWN_KEY for an argument that is no flag.
 */
export function parseFlags(
  schema: SchemaName,
  argv: readonly string[],
): { file?: string; flags: Record<string, FlagValue> } {
  const { keys } = SCHEMAS[schema];
  const known = Object.entries(keys).map(([key, { isSwitch, repeated }]): [string, Accepted] => [
    flagName(keys, key),
    { type: isSwitch === true ? 'boolean' : 'string', multiple: repeated !== undefined },
  ]);
  const options = Object.fromEntries<Accepted>([...known, [FILE_FLAG, { type: 'string' }]]);
  const { values, positionals } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true });
  const [stray] = positionals;
  if (stray !== undefined) {
    throw new ConfigError(
      'E_CONFIG_UNKNOWN_KEY',
      `${JSON.stringify(stray)} on the command line is not a flag; write --key value.`,
    );
  }
  const { [FILE_FLAG]: file, ...flags }: Readonly<Record<string, Parsed>> = values;
  const texts = Object.fromEntries(
    Object.entries(flags).map(([name, value]): [string, FlagValue] => [
      name,
      typeof value === 'object' ? value.map(String) : value,
    ]),
  );
  return typeof file === 'string' ? { file, flags: texts } : { flags: texts };
}
