/** What keys a schema has: for --help and docs/reference/config.md. */
import { environmentName, flagName } from './key.js';
import { SCHEMAS, type SchemaName } from './schemas.js';

export type KeyDescription = {
  readonly key: string;
  /** With dashes: --global-batch. */
  readonly flag: string;
  readonly env: string;
  readonly default: unknown;
  /** What values are allowed. */
  readonly allowed: string;
  readonly doc: string;
  /** A flag that stands alone, without a value. */
  readonly isSwitch: boolean;
  /** A flag that may be given several times. */
  readonly isRepeated: boolean;
};

/** The keys of a schema in the order in which it declares them. */
export function describeConfig(schema: SchemaName): readonly KeyDescription[] {
  const { keys } = SCHEMAS[schema];
  return Object.entries(keys).map(([key, { default: value, allowed, doc, isSwitch = false, repeated }]) => ({
    key,
    flag: `--${flagName(keys, key)}`,
    env: environmentName(key),
    default: value,
    allowed,
    doc,
    isSwitch,
    isRepeated: repeated !== undefined,
  }));
}
