/**
 * What a ledger keeps beside its entries: its format's version, the state of another run that the run starts from, if it does, the
 * generation in force, the numerics class of the run, the workers of another class that were let in, and where such a run went back and took another way.
 *
 * With workers of two classes the bits depend on who did what: from the first of them on, the run is not reproducible. So
 * these records are never removed.
 */
import { z } from 'zod';
import { canonicalJson } from '../canonical-json.js';
import { CheckpointError } from '../errors.js';
import { CHAIN_START, MAX_WORKER_ID_LENGTH, sha256Hex } from './ledger-entry.js';
import { sha256Of } from '../checkpoint/manifest.js';

/** Version 2 added samples and skipped to an entry; version 1 had no version record. */
export const LEDGER_VERSION = 2;
/** The same with an origin, from which the chain starts: what knows of none must not read it. */
export const LEDGER_VERSION_WITH_ORIGIN = 3;

export const VERSION_KEY = 'version';
export const GENERATION_KEY = 'generation';
export const CLASS_KEY = 'class';
export const ORIGIN_KEY = 'origin';

/** As many workers as one generation can have: a run that met more has long lost what further records could tell. */
export const MAX_ADMITTED = 4_096;

/** A run that went back so often gets nowhere: it must end. */
export const MAX_BRANCHES = 4_096;

/** An engine describes itself in about ten words: version, instruction set, threads, device and the like. */
const MAX_ENGINE_KEYS = 64;
const MAX_ENGINE_KEY_LENGTH = 64;
const MAX_ENGINE_VALUE_LENGTH = 1_024;

/** Ids are UUIDs; 36 characters. */
const MAX_RUN_ID_LENGTH = 256;

/** One line for a person. */
const MAX_REASON_LENGTH = 4_096;

const count = z.int().nonnegative();
const engineSchema = z
  .record(z.string().max(MAX_ENGINE_KEY_LENGTH), z.string().max(MAX_ENGINE_VALUE_LENGTH))
  .refine((engine) => Object.keys(engine).length <= MAX_ENGINE_KEYS, `at most ${MAX_ENGINE_KEYS} keys`);
const classSchema = z.strictObject({ probe: sha256Hex, engine: engineSchema });
const admissionSchema = z.strictObject({
  step: count,
  worker: z.string().min(1).max(MAX_WORKER_ID_LENGTH),
  probe: sha256Hex,
  engine: engineSchema,
});
const branchSchema = z.strictObject({
  step: count,
  at: count,
  reason: z.string().max(MAX_REASON_LENGTH),
  entries: z.int().positive(),
  lastChain: sha256Hex,
});

export const originSchema = z.strictObject({
  runId: z.string().min(1).max(MAX_RUN_ID_LENGTH),
  step: count,
  digest: sha256Hex,
});

/** The state of another run that a run starts from. */
export type Origin = {
  readonly runId: string;
  /** Steps that the other run had committed. */
  readonly step: number;
  /** stateDigest of that state. */
  readonly digest: string;
};

/** Workers of one class compute the same bits. */
export type NumericsClass = {
  /** sha256 of the probe gradient: what the class is told by. */
  readonly probe: string;
  /** What the engine says it is (version, instruction set, threads, device ...): names a difference, proves nothing. */
  readonly engine: Readonly<Record<string, string>>;
};

/** A worker of another class that was let in; from `step` on bits may depend on who did what. */
export type Admission = { readonly step: number; readonly worker: string } & NumericsClass;

/** Entries from `step` on were cut off, so that those steps could be done again with other digests. */
export type Branch = {
  readonly step: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly reason: string;
  /** How many entries were cut off. */
  readonly entries: number;
  /** Chain value of the last of them: whoever has a copy of the old ledger can tell that it is this one. */
  readonly lastChain: string;
};

type RecordPrefix = 'admitted' | 'branch';

/** The key of the record `index` of a list, counted from 0; keys sort as indices do. */
export function recordKey(prefix: RecordPrefix, index: number): string {
  return `${prefix}/${String(index).padStart(6, '0')}`;
}

/** The range of all keys of a list: from start, to end excluded ('0' is the character after '/'). */
export function recordRange(prefix: RecordPrefix): { start: string; end: string } {
  return { start: `${prefix}/`, end: `${prefix}0` };
}

/** A caller's class, checked. @throws CheckpointError E_LEDGER_ENTRY. */
export function checkClass(value: NumericsClass): NumericsClass {
  return checked(classSchema, value, 'a numerics class');
}

/** A caller's admission, checked. @throws CheckpointError E_LEDGER_ENTRY. */
export function checkAdmission(value: Admission): Admission {
  return checked(admissionSchema, value, 'an admission');
}

/** A caller's branch, checked. @throws CheckpointError E_LEDGER_ENTRY. */
export function checkBranch(value: Branch): Branch {
  return checked(branchSchema, value, 'a branch');
}

/** A caller's origin, checked. @throws CheckpointError E_LEDGER_ENTRY. */
export function checkOrigin(value: Origin): Origin {
  return checked(originSchema, value, 'an origin');
}

/** What the database holds of it. @throws CheckpointError E_LEDGER_CORRUPT. */
export function parseOrigin(value: unknown): Origin {
  return parsed(originSchema, value, 'origin');
}

/** Chain value before the first entry. */
export function chainStart(origin: Origin | null): string {
  return origin === null ? CHAIN_START : sha256Of([canonicalJson(origin)]);
}

/** What the database holds of it. @throws CheckpointError E_LEDGER_CORRUPT. */
export function parseClass(value: unknown): NumericsClass {
  return parsed(classSchema, value, 'numerics class');
}

/** What the database holds of it. @throws CheckpointError E_LEDGER_CORRUPT. */
export function parseAdmission(value: unknown): Admission {
  return parsed(admissionSchema, value, 'list of admitted workers');
}

/** What the database holds of it. @throws CheckpointError E_LEDGER_CORRUPT. */
export function parseBranch(value: unknown): Branch {
  return parsed(branchSchema, value, 'list of branches');
}

/** What the database holds of it, 0 if nothing. @throws CheckpointError E_LEDGER_CORRUPT. */
export function parseGeneration(value: unknown): number {
  return parsed(count, value ?? 0, 'generation');
}

function checked<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CheckpointError('E_LEDGER_ENTRY', `not ${what}: ${z.prettifyError(result.error)}; fix the caller.`);
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new CheckpointError(
    'E_LEDGER_CORRUPT',
    `the stored ${what} is damaged: ${z.prettifyError(result.error)}; restore the ledger from a copy.`,
  );
}
