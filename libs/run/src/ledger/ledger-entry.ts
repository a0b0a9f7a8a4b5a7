/**
 * One ledger entry for one committed step, and the hash chain over them:
 *
 *   chain(k) = sha256( chain(k-1) as hex  ++  canonical JSON of entry k )
 *
 * The chain before the first entry is 64 zeros, or, of a run that starts from another's state, the sha256 of the origin's canonical JSON;
 *
 * so that the last chain value stands for the whole history, and a changed or missing entry is found at its step.
 */
import { z } from 'zod';
import { canonicalJson } from '../canonical-json.js';
import { CheckpointError } from '../errors.js';
import { sha256Of } from '../checkpoint/manifest.js';

/** Steps are numbered from 0; step k leads from state k to state k+1. */
export const FIRST_STEP = 0;

/** Far above any global batch in use; keeps one entry below a few MB. */
export const MAX_MICROBATCHES = 65_536;

/** Worker ids are short names; LMDB stores an entry of normal size in one page. */
export const MAX_WORKER_ID_LENGTH = 256;

export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 hex digits');
const samplesDigest = z.string().regex(/^[0-9a-f]{16}$/, 'must be 16 hex digits');
const entrySchema = z
  .strictObject({
    step: z.int().nonnegative(),
    generation: z.int().nonnegative(),
    plan: z.array(z.string().min(1).max(MAX_WORKER_ID_LENGTH)).max(MAX_MICROBATCHES),
    losses: z.array(z.number().nullable()).max(MAX_MICROBATCHES),
    samples: z.array(samplesDigest).max(MAX_MICROBATCHES),
    skipped: z.boolean(),
    digest: sha256Hex,
    at: z.int().nonnegative(),
  })
  .refine(
    ({ plan, losses, samples }) => plan.length === losses.length && plan.length === samples.length,
    'plan, losses and samples must have one element a microbatch each',
  )
  .refine(
    // The other way round a step may be skipped with finite losses: a gradient can overflow where its loss does not.
    ({ losses, skipped }) => skipped || !losses.includes(null),
    'a step with a loss that is not finite must be skipped',
  );
const storedSchema = z.strictObject({ entry: entrySchema, chain: sha256Hex });

export type LedgerEntry = {
  readonly step: number;
  readonly generation: number;
  /** Worker id by microbatch index. */
  readonly plan: readonly string[];
  /** Mean loss by microbatch index; null if it was not finite. */
  readonly losses: readonly (number | null)[];
  /** Which samples were trained on, by microbatch index: 16 hex digits each (libs/diffusion, samplesDigest). */
  readonly samples: readonly string[];
  /** A gradient was not finite, so the step changed nothing. */
  readonly skipped: boolean;
  /** stateDigest of the state after the step. */
  readonly digest: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
};

export type StoredEntry = { readonly entry: LedgerEntry; readonly chain: string };

export const CHAIN_START = '0'.repeat(64);

/** chain(k) from chain(k-1) and entry k: 64 hex digits. */
export function nextChain(previous: string, entry: LedgerEntry): string {
  const { step, generation, plan, losses, samples, skipped, digest, at } = entry;
  return sha256Of([previous, canonicalJson({ step, generation, plan, losses, samples, skipped, digest, at })]);
}

/** A copy of a caller's entry, checked. @throws CheckpointError E_LEDGER_ENTRY. */
export function checkEntry(entry: LedgerEntry): LedgerEntry {
  const result = entrySchema.safeParse(entry);
  if (result.success) return result.data;
  throw new CheckpointError('E_LEDGER_ENTRY', `not a ledger entry: ${z.prettifyError(result.error)}; fix the caller.`);
}

/** What the database holds for `step`. @throws CheckpointError E_LEDGER_CORRUPT. */
export function parseStored(value: unknown, step: number): StoredEntry {
  const result = storedSchema.safeParse(value);
  if (result.success && result.data.entry.step === step) return result.data;
  const why = result.success ? `it says step ${result.data.entry.step}` : z.prettifyError(result.error);
  throw new CheckpointError(
    'E_LEDGER_CORRUPT',
    `the entry of step ${step} is damaged: ${why}; restore the ledger from a copy.`,
  );
}
