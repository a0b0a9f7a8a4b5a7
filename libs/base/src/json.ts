/** What JSON can hold. */

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

export type JsonObject = { readonly [key: string]: JsonValue };

/** What a file or message of `value` will say: members that are undefined left out. @throws TypeError where JSON has no form */
export function toJson(value: object): JsonObject {
  const parsed: unknown = JSON.parse(JSON.stringify(value));
  if (isJsonObject(parsed)) return parsed;
  throw new TypeError('an array is no JSON object');
}

/** Whether something that came from JSON text is an object. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
