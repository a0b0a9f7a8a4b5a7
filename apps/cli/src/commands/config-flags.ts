/** Flags of a command from the config's own description, so that --help, environment and docs/reference/config.md never differ. */
import { Option, type Command } from 'commander';
import { describeConfig, type FlagValue, type KeyDescription } from '@lockstep/config';

type SchemaName = Parameters<typeof describeConfig>[0];

/** Adds one flag a key of the schema; the config checks the values, with their source in every message. */
export function addConfigFlags(command: Command, schema: SchemaName): Command {
  for (const { flag, default: value, doc, env, allowed, isSwitch, isRepeated } of describeConfig(schema)) {
    const option = new Option(
      isSwitch ? flag : `${flag} <value>`,
      `${doc}; ${allowed} (default: ${JSON.stringify(value)}, env: ${env})`,
    );
    if (isRepeated) option.argParser((text, before?: readonly string[]) => [...(before ?? []), text]);
    command.addOption(option);
  }
  return command.option('--config <file>', 'JSON file with any of these keys; environment and flags override it');
}

/** The flags that were given, as the config wants them. */
export function givenFlags(
  options: Readonly<Record<string, unknown>>,
  keys: readonly KeyDescription[],
): Record<string, FlagValue> {
  const flags: Record<string, FlagValue> = {};
  for (const { key, flag } of keys) {
    const value = options[new Option(flag).attributeName()];
    if (typeof value === 'string' || typeof value === 'boolean') flags[key] = value;
    else if (Array.isArray(value)) flags[key] = value.map(String);
  }
  return flags;
}
