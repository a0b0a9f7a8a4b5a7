/** One JSON text for one value: keys sorted, no white space, numbers as ECMAScript prints them. What digests are taken of. */
import type { JsonValue } from '@lockstep/base';
import { CheckpointError } from './errors.js';

export type { JsonValue } from '@lockstep/base';

/**
 * The canonical JSON text of `value` (RFC 8785 for the values used here: keys sorted by UTF-16 code units).
 * @throws CheckpointError E_JSON_VALUE for NaN, Infinity and whatever else JSON cannot hold.
 */
export function canonicalJson(value: JsonValue): string {
  switch (typeof value) {
    case 'number':
      if (!Number.isFinite(value))
        throw new CheckpointError('E_JSON_VALUE', `${value} has no JSON form; pass finite numbers only.`);
      return JSON.stringify(value);
    case 'boolean':
    case 'string':
      return JSON.stringify(value);
    case 'object': {
      if (value === null) return 'null';
      if (isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
      const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
      return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`;
    }
    default:
      value satisfies never;
      throw new CheckpointError('E_JSON_VALUE', `a value of type ${typeof value} has no JSON form; leave the key out.`);
  }
}

// Array.isArray does not narrow a readonly array out of the union.
function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
