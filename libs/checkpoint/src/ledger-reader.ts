/** Reading a ledger: what its writer and any number of other processes can do at the same time. */
import { join } from 'node:path';
import { open as openLmdb, type RootDatabase } from 'lmdb';
import { CheckpointError, messageOf } from './errors.js';
import { CHAIN_START, FIRST_STEP, nextChain, parseStored, type LedgerEntry, type StoredEntry } from './ledger-entry.js';

/** Keys: a step number for an entry, a string for what is kept beside the entries. LMDB sorts numbers before strings. */
export type LedgerKey = number | 'generation' | 'probe';
export type LedgerDatabase = RootDatabase<unknown, LedgerKey>;

export const GENERATION_KEY = 'generation';
export const PROBE_KEY = 'probe';

export type ChainReport =
  | { readonly ok: true; readonly entries: number }
  | { readonly ok: false; readonly step: number; readonly reason: string };

/** The database file of a ledger in `folder`. */
export function ledgerFile(folder: string): string {
  return join(folder, 'ledger.mdb');
}

/**
 * Opens the LMDB environment. Without overlappingSync a transaction ends after fdatasync of the data and a
 * synchronous write of the meta page: committed means on disk.
 */
export function openDatabase(folder: string, mode: 'read' | 'write'): LedgerDatabase {
  return openLmdb<unknown, LedgerKey>({
    path: ledgerFile(folder),
    encoding: 'json',
    overlappingSync: false,
    readOnly: mode === 'read',
  });
}

export class LedgerReader {
  protected readonly database: LedgerDatabase;
  #closed = false;

  /** Use Ledger.open or Ledger.openReader, which check the file first. */
  constructor(database: LedgerDatabase) {
    this.database = database;
  }

  /** The newest entry, or undefined in an empty ledger. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  last(): LedgerEntry | undefined {
    return this.lastStored()?.entry;
  }

  /** The entry of one step, or undefined. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  get(step: number): LedgerEntry | undefined {
    return this.stored(step)?.entry;
  }

  /** Entries of steps from..to, both included, rising; lazy. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  *range(from: number, to: number): Generator<LedgerEntry, void, undefined> {
    for (let step = Math.max(FIRST_STEP, Math.ceil(from)); step <= to; step += 1) {
      const entry = this.get(step);
      if (!entry) return;
      yield entry;
    }
  }

  /** The stored generation number; 0 before the first setGeneration. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  generation(): number {
    const value = this.read(() => this.database.get(GENERATION_KEY)) ?? 0;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw new CheckpointError(
      'E_LEDGER_CORRUPT',
      'the stored generation is not a whole number; restore the ledger from a copy.',
    );
  }

  /** The probe digest that the run's workers share, or null before the first setProbe. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  probe(): string | null {
    const value = this.read(() => this.database.get(PROBE_KEY)) ?? null;
    if (value === null || typeof value === 'string') return value;
    throw new CheckpointError('E_LEDGER_CORRUPT', 'the stored probe is not a text; restore the ledger from a copy.');
  }

  /** Walks all entries: contiguous from the first step, each well-formed, each chain value right. Reports the first bad step. */
  verifyChain(): ChainReport {
    let step = FIRST_STEP;
    try {
      const keys = this.read(() => this.database.getStats());
      const end = this.lastKey();
      let chain = CHAIN_START;
      for (; end !== undefined && step <= end; step += 1) {
        const stored = this.stored(step);
        if (!stored) return { ok: false, step, reason: `step ${step} is missing` };
        chain = nextChain(chain, stored.entry);
        if (chain !== stored.chain)
          return { ok: false, step, reason: `the chain breaks at step ${step}: the entry was changed` };
      }
      // A file cut at a page border can look like a shorter ledger; the tree's own count still has the old number.
      const lost =
        entryCount(keys) - (step - FIRST_STEP) - (this.generation() > 0 ? 1 : 0) - (this.probe() === null ? 0 : 1);
      if (lost > 0) return { ok: false, step, reason: `${lost} entries from step ${step} on cannot be reached` };
      return { ok: true, entries: step - FIRST_STEP };
    } catch (error) {
      if (error instanceof CheckpointError && error.code === 'E_LEDGER_CORRUPT')
        return { ok: false, step, reason: error.message };
      throw error;
    }
  }

  /** Releases the file; a second call is fine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.database.close();
  }

  protected stored(step: number): StoredEntry | undefined {
    const value = this.read(() => this.database.get(step));
    return value === undefined ? undefined : parseStored(value, step);
  }

  protected lastStored(): StoredEntry | undefined {
    const step = this.lastKey();
    return step === undefined ? undefined : this.stored(step);
  }

  protected lastKey(): number | undefined {
    const keys = this.read(() => [
      ...this.database.getKeys({ start: Number.MAX_SAFE_INTEGER, end: FIRST_STEP - 1, reverse: true, limit: 1 }),
    ]);
    const [key] = keys;
    return typeof key === 'number' ? key : undefined;
  }

  protected assertOpen(): void {
    if (this.#closed) throw new CheckpointError('E_LEDGER_CLOSED', 'the ledger was closed; open it again.');
  }

  /** Reads see what other processes have committed by now, not the snapshot of this turn of the event loop. */
  protected read<T>(operation: () => T): T {
    this.assertOpen();
    try {
      this.database.resetReadTxn();
      return operation();
    } catch (error) {
      throw new CheckpointError(
        'E_LEDGER_CORRUPT',
        `the ledger cannot be read: ${messageOf(error)}; restore it from a copy.`,
        { cause: error },
      );
    }
  }
}

function entryCount(stats: object): number {
  return 'entryCount' in stats && typeof stats.entryCount === 'number' ? stats.entryCount : 0;
}
