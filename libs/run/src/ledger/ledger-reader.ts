/** Reading a ledger: what its writer and any number of other processes can do at the same time. */
import { join } from 'node:path';
import { open as openLmdb, type RootDatabase } from 'lmdb';
import { isSystemError, messageOf, remedyFor } from '@lockstep/base';
import { CheckpointError } from '../errors.js';
import { FIRST_STEP, nextChain, parseStored, type LedgerEntry, type StoredEntry } from './ledger-entry.js';
import {
  chainStart,
  CLASS_KEY,
  GENERATION_KEY,
  LEDGER_VERSION,
  LEDGER_VERSION_WITH_ORIGIN,
  ORIGIN_KEY,
  parseAdmission,
  parseBranch,
  parseClass,
  parseGeneration,
  parseOrigin,
  recordRange,
  VERSION_KEY,
  type Admission,
  type Branch,
  type NumericsClass,
  type Origin,
} from './ledger-records.js';

/** Keys: a step number for an entry, a string for what is kept beside the entries. LMDB sorts numbers before strings. */
export type LedgerKey = number | string;
export type LedgerDatabase = RootDatabase<unknown, LedgerKey>;

export type ChainReport =
  | { readonly ok: true; readonly entries: number }
  | {
      readonly ok: false;
      readonly code: 'E_LEDGER_CORRUPT' | 'E_LEDGER_VERSION' | 'E_LEDGER_READ';
      readonly step: number;
      readonly reason: string;
    };

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
    return parseGeneration(this.read(() => this.database.get(GENERATION_KEY)));
  }

  /** The state of another run that this one starts from, or null. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  origin(): Origin | null {
    const value = this.read(() => this.database.get(ORIGIN_KEY));
    return value === undefined ? null : parseOrigin(value);
  }

  /** The numerics class of the run, or null before the first setClass. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  numericsClass(): NumericsClass | null {
    const value = this.read(() => this.database.get(CLASS_KEY));
    return value === undefined ? null : parseClass(value);
  }

  /** Workers of other classes that were let in, in the order of their coming. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  admitted(): readonly Admission[] {
    return this.records('admitted').map(parseAdmission);
  }

  /** The first step whose bits may depend on who did what, or null in a reproducible run. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  notReproducibleFrom(): number | null {
    // A step before the first admission may have been done again after it.
    const steps = [...this.admitted(), ...this.branches()].map(({ step }) => step);
    return steps.length === 0 ? null : steps.reduce((first, step) => Math.min(first, step));
  }

  /** Where the run went back and took another way, in the order of the cuts. @throws CheckpointError E_LEDGER_CORRUPT, E_LEDGER_CLOSED. */
  branches(): readonly Branch[] {
    return this.records('branch').map(parseBranch);
  }

  /**
   * Walks all entries: contiguous from the first step, each well-formed, each chain value right; and all that lies beside
   * them. Reports the first bad step.
   */
  verifyChain(): ChainReport {
    for (;;) {
      try {
        const before = this.branches().length;
        const report = this.#walk();
        // A writer may have cut entries off meanwhile: what was read then belongs to two ledgers. At most MAX_BRANCHES times.
        if (report.ok || this.branches().length === before) return report;
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
        return badReport(error);
      }
    }
  }

  #walk(): ChainReport {
    this.assertVersion();
    let step = FIRST_STEP;
    const bad = (reason: string): ChainReport => ({ ok: false, code: 'E_LEDGER_CORRUPT', step, reason });
    try {
      // Counted first: entries that a writer adds meanwhile must not look like lost ones.
      const keys = this.keyCount();
      const end = this.lastKey();
      let chain = chainStart(this.origin());
      for (; end !== undefined && step <= end; step += 1) {
        const stored = this.stored(step);
        if (!stored) return bad(`step ${step} is missing`);
        chain = nextChain(chain, stored.entry);
        if (chain !== stored.chain) return bad(`the chain breaks at step ${step}: the entry was changed`);
      }
      // A file cut at a page border can look like a shorter ledger; the tree's own count still has the old number.
      const lost = keys - (step - FIRST_STEP) - this.#keysBesideEntries();
      if (lost > 0) return bad(`${lost} entries from step ${step} on cannot be reached`);
      return { ok: true, entries: step - FIRST_STEP };
    } catch (error) {
      if (error instanceof CheckpointError && error.code === 'E_LEDGER_CORRUPT') return bad(error.message);
      throw error;
    }
  }

  /** How many keys are not of entries; reads and checks what they hold. */
  #keysBesideEntries(): number {
    const single = [
      this.version() !== undefined,
      this.origin() !== null,
      this.generation() > 0,
      this.numericsClass() !== null,
    ];
    return single.filter(Boolean).length + this.admitted().length + this.branches().length;
  }

  /** Releases the file; a second call is fine. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.database.close();
  }

  protected version(): unknown {
    return this.read(() => this.database.get(VERSION_KEY));
  }

  /** Passes for an empty database: a writer stopped between making the file and its first record leaves one. */
  protected assertVersion(): void {
    const version = this.version();
    if (version === LEDGER_VERSION || version === LEDGER_VERSION_WITH_ORIGIN) return;
    if (version === undefined && this.keyCount() === 0) return;
    throw new CheckpointError(
      'E_LEDGER_VERSION',
      `the ledger has format ${version === undefined ? 1 : JSON.stringify(version)}, this build reads ${LEDGER_VERSION} and ${LEDGER_VERSION_WITH_ORIGIN}; go on with the version ` +
        'of Lockstep that wrote it, or start a new run.',
    );
  }

  protected keyCount(): number {
    return entryCount(this.read(() => this.database.getStats()));
  }

  protected records(prefix: 'admitted' | 'branch'): readonly unknown[] {
    return this.read(() => [...this.database.getRange(recordRange(prefix))].map(({ value }) => value));
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
      throw readError('the ledger cannot be read', error);
    }
  }
}

/** The report of a ledger that cannot be read at all. @throws `error` where that says nothing of the ledger */
export function badReport(error: CheckpointError): ChainReport {
  const { code, message } = error;
  if (code !== 'E_LEDGER_CORRUPT' && code !== 'E_LEDGER_VERSION' && code !== 'E_LEDGER_READ') throw error;
  return { ok: false, code, step: FIRST_STEP, reason: message };
}

/** Of a failure to read: E_LEDGER_READ where the system said why, and only else a damage of the file. */
export function readError(what: string, error: unknown): CheckpointError {
  const known = isSystemError(error);
  return new CheckpointError(
    known ? 'E_LEDGER_READ' : 'E_LEDGER_CORRUPT',
    `${what}: ${messageOf(error)}; ${known ? remedyFor(error) : 'restore it from a copy'}.`,
    { cause: error },
  );
}

function entryCount(stats: object): number {
  return 'entryCount' in stats && typeof stats.entryCount === 'number' ? stats.entryCount : 0;
}
