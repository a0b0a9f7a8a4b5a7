/** A config key: its type, default and doc, and how the text of a flag or environment variable becomes its value. */
import { isIP } from 'node:net';
import { z } from 'zod';

export type Key<T> = {
  readonly schema: z.ZodType<T>;
  readonly default: T;
  readonly doc: string;
  /** What values are allowed, for messages and --help. */
  readonly allowed: string;
  /** A flag that stands alone, without a value. */
  readonly isSwitch?: true;
  /** The value that `text` stands for; text that stands for none comes back as it is, for the schema to refuse. */
  readonly fromText: (text: string) => unknown;
  /** Of a flag that may be given several times: its name, and the value that all its texts together stand for. */
  readonly repeated?: { readonly flag: string; readonly fromTexts: (texts: readonly string[]) => unknown };
};

// Method-free and covariant in T, so that keys of any type fit one record.
export type Keys = Readonly<Record<string, Key<unknown>>>;

/** The values of `K`: what loadConfig returns. */
export type ValuesOf<K extends Keys> = { readonly [Name in keyof K]: K[Name] extends Key<infer T> ? T : never };

// No empty text, no spaces, no hexadecimal: Number('') is 0 and Number('0x10') is 16, neither of which anyone meant.
const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function numberFrom(text: string): unknown {
  return DECIMAL.test(text) ? Number(text) : text;
}

/** A whole number in min..max; without a max of its own, up to the largest that a float64 tells from its neighbours. */
export function integerKey(options: { default: number; min: number; max?: number; doc: string }): Key<number> {
  const { min, max = Number.MAX_SAFE_INTEGER } = options;
  return {
    schema: z.int().min(min).max(max),
    default: options.default,
    doc: options.doc,
    allowed: `a whole number in ${min}..${max}`,
    fromText: numberFrom,
  };
}

/** A TCP port; 0 lets the system choose a free one. */
export function portKey(options: { default: number; doc: string }): Key<number> {
  return integerKey({ ...options, min: 0, max: 65_535 });
}

/** A number in 0..1. */
export function fractionKey(options: { default: number; doc: string }): Key<number> {
  return {
    schema: z.number().min(0).max(1),
    default: options.default,
    doc: options.doc,
    allowed: 'a number in 0..1',
    fromText: numberFrom,
  };
}

/** A number above 0, or null for "not set"; the text "null" stands for null. */
export function optionalPositiveKey(options: { doc: string }): Key<number | null> {
  return {
    schema: z.number().positive().nullable(),
    default: null,
    doc: options.doc,
    allowed: 'a number above 0, or null',
    fromText: (text) => (text === 'null' ? null : numberFrom(text)),
  };
}

/** A number in 0..1, or null for "not set"; the text "null" stands for null. */
export function optionalFractionKey(options: { doc: string }): Key<number | null> {
  return {
    schema: z.number().min(0).max(1).nullable(),
    default: null,
    doc: options.doc,
    allowed: 'a number in 0..1, or null',
    fromText: (text) => (text === 'null' ? null : numberFrom(text)),
  };
}

/** A whole number in min..max, or null for "not set"; the text "null" stands for null. */
export function optionalIntegerKey(options: { min: number; max?: number; doc: string }): Key<number | null> {
  const { min, max = Number.MAX_SAFE_INTEGER } = options;
  return {
    schema: z.int().min(min).max(max).nullable(),
    default: null,
    doc: options.doc,
    allowed: `a whole number in ${min}..${max}, or null`,
    fromText: (text) => (text === 'null' ? null : numberFrom(text)),
  };
}

/** One of a few words. */
export function choiceKey<const T extends readonly [string, ...string[]]>(options: {
  default: T[number];
  choices: T;
  doc: string;
}): Key<T[number]> {
  return {
    schema: z.enum(options.choices),
    default: options.default,
    doc: options.doc,
    allowed: `one of ${options.choices.join(', ')}`,
    fromText: (text) => text,
  };
}

/** One of a few words, or null for "not set"; the text "null" stands for null. */
export function optionalChoiceKey<const T extends readonly [string, ...string[]]>(options: {
  choices: T;
  doc: string;
}): Key<T[number] | null> {
  return {
    schema: z.enum(options.choices).nullable(),
    default: null,
    doc: options.doc,
    allowed: `one of ${options.choices.join(', ')}, or null`,
    fromText: (text) => (text === 'null' ? null : text),
  };
}

/** Any text that is not empty. */
export function textKey(options: { default: string; doc: string }): Key<string> {
  return {
    schema: z.string().min(1),
    default: options.default,
    doc: options.doc,
    allowed: 'a text that is not empty',
    fromText: (text) => text,
  };
}

/** Any text that is not empty, or null for "not set"; the text "null" stands for null. */
export function optionalTextKey(options: { doc: string }): Key<string | null> {
  return {
    schema: z.string().min(1).nullable(),
    default: null,
    doc: options.doc,
    allowed: 'a text that is not empty, or null',
    fromText: (text) => (text === 'null' ? null : text),
  };
}

/** A name of the DNS, of one label or more. */
const HOST_NAME = /^[a-z\d_-]+(\.[a-z\d_-]+)*\.?$/i;
const MAX_HOST_NAME = 253;

/** An address or name as it stands alone, without port; a zone (fe80::1%eth0) has no place in a URL. */
function isHost(text: string): boolean {
  if (isIP(text) !== 0) return !text.includes('%');
  return text.length <= MAX_HOST_NAME && HOST_NAME.test(text);
}

const HOST_ALLOWED = 'a host name or an IP address, IPv6 without brackets and zone';

/** Where a server listens. */
export function hostKey(options: { default: string; doc: string }): Key<string> {
  return {
    schema: z.string().refine(isHost),
    default: options.default,
    doc: options.doc,
    allowed: HOST_ALLOWED,
    fromText: (text) => text,
  };
}

/** An address or name of a server, or null for "not set"; the text "null" stands for null. */
export function optionalHostKey(options: { doc: string }): Key<string | null> {
  return {
    schema: z.string().refine(isHost).nullable(),
    default: null,
    doc: options.doc,
    allowed: `${HOST_ALLOWED}, or null`,
    fromText: (text) => (text === 'null' ? null : text),
  };
}

/** The names in a list such as hostListKey takes. */
export function namesIn(list: string | null): readonly string[] {
  return list === null ? [] : list.split(',').map((name) => name.trim());
}

/** Names of servers, or null for none; the text "null" stands for null. A name that begins with a dot stands for all below it. */
export function hostListKey(options: { doc: string }): Key<string | null> {
  return {
    schema: z
      .string()
      .refine((list) => namesIn(list).every((name) => isHost(name.replace(/^\./, ''))))
      .nullable(),
    default: null,
    doc: options.doc,
    allowed: 'host names with commas between them, or null',
    fromText: (text) => (text === 'null' ? null : text),
  };
}

/** Yes or no; as a flag it stands alone. */
export function switchKey(options: { doc: string }): Key<boolean> {
  return {
    schema: z.boolean(),
    default: false,
    doc: options.doc,
    allowed: 'true or false',
    isSwitch: true,
    fromText: (text) => (text === 'true' ? true : text === 'false' ? false : text),
  };
}

/** What a task's option may be. */
export type OptionValue = string | number | boolean;

// Neither dots, which are paths in what holds the values, nor what every object has.
const OPTION_NAME = /^[a-z][\w-]{0,63}$/i;

/** Values by name: an object in a file, `--FLAG name=value` several times; as one text also JSON. */
export function optionsKey(options: { flag: string; doc: string }): Key<Readonly<Record<string, OptionValue>>> {
  const fromTexts = (texts: readonly string[]): unknown => {
    const parts = texts.map(optionFrom);
    return parts.every((part) => part !== null) ? Object.fromEntries(parts.flat()) : texts.join(' ');
  };
  return {
    schema: z.custom<Readonly<Record<string, OptionValue>>>(isOptions),
    default: {},
    doc: options.doc,
    allowed: 'name=value, in a file an object of texts, numbers, true and false',
    fromText: (text) => fromTexts([text]),
    repeated: { flag: options.flag, fromTexts },
  };
}

// Not by zod's own record, which lets the name __proto__ pass and forgets it.
function isOptions(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(
      ([name, one]) => OPTION_NAME.test(name) && ['string', 'number', 'boolean'].includes(typeof one),
    )
  );
}

/** Null for text that is neither `name=value` nor a JSON object. */
function optionFrom(text: string): [string, unknown][] | null {
  if (text.startsWith('{')) {
    try {
      const value: unknown = JSON.parse(text);
      return typeof value === 'object' && value !== null ? Object.entries(value) : null;
    } catch {
      return null;
    }
  }
  const at = text.indexOf('=');
  return at < 0 ? null : [[text.slice(0, at), text.slice(at + 1)]];
}

/** A WebSocket address. */
export function webSocketUrlKey(options: { default: string; doc: string }): Key<string> {
  return {
    schema: z.url({ protocol: /^wss?$/ }),
    default: options.default,
    doc: options.doc,
    allowed: 'a ws:// or wss:// address',
    fromText: (text) => text,
  };
}

/** A key's name with dashes: globalBatch -> global-batch. */
export function dashed(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The flag of a key, without the dashes: globalBatch -> global-batch. */
export function flagName(keys: Keys, key: string): string {
  return keys[key].repeated?.flag ?? dashed(key);
}

/** The environment variable of a key: globalBatch -> LOCKSTEP_GLOBAL_BATCH. */
export function environmentName(key: string): string {
  return `${ENVIRONMENT_PREFIX}${dashed(key).replaceAll('-', '_').toUpperCase()}`;
}

export const ENVIRONMENT_PREFIX = 'LOCKSTEP_';
