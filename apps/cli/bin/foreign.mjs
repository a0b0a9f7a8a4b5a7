/**
 * Reads what comes from elsewhere, errors and JSON, and takes it for no more than it is. For all that runs before the build: what is here, and tools/.
 */

/**
 * The code of an error of the system or of Lockstep, such as ENOENT; undefined where it has none.
 * @param {unknown} error
 */
export function codeOf(error) {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/**
 * What an error says.
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Fields of an object; none of what is no object.
 * @param {unknown} value
 * @returns {Readonly<Partial<Record<string, unknown>>>}
 */
export function fieldsOf(value) {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/**
 * The texts in a list; none of what is no list.
 * @param {unknown} value
 * @returns {string[]}
 */
export function textsOf(value) {
  /** @type {readonly unknown[]} */
  const items = Array.isArray(value) ? value : [];
  return items.filter((item) => typeof item === 'string');
}
