/**
 * The ledger: the coordinator's durable record, one entry a committed step, on LMDB. An entry is on disk before append()
 * resolves; entries never change; a redone step must give the digest that is already there.
 */
import { join } from 'node:path';
import { messageOf, remedyFor } from '@lockstep/base';
import { canonicalJson } from '../canonical-json.js';
import { nodeFs } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import { checkEntry, FIRST_STEP, nextChain, type LedgerEntry } from './ledger-entry.js';
import { checkLedgerFile, ledgerFileExists } from './ledger-file.js';
import { ledgerFile, LedgerReader, openDatabase, readError, type LedgerDatabase } from './ledger-reader.js';
import {
  chainStart,
  checkAdmission,
  checkBranch,
  checkClass,
  checkOrigin,
  CLASS_KEY,
  GENERATION_KEY,
  LEDGER_VERSION,
  LEDGER_VERSION_WITH_ORIGIN,
  MAX_ADMITTED,
  MAX_BRANCHES,
  ORIGIN_KEY,
  recordKey,
  VERSION_KEY,
  type Admission,
  type NumericsClass,
  type Origin,
} from './ledger-records.js';
import { takeWriterLock, type WriterLock, type WriterLockOptions } from './writer-lock.js';

/** 'appended': new on disk. 'confirmed': the step was there already, with the same digest. */
export type AppendResult = 'appended' | 'confirmed';

/** 'recorded': new on disk. 'known': this worker with this probe was there already. 'full': there are MAX_ADMITTED already. */
export type AdmitResult = 'recorded' | 'known' | 'full';

const LOCK_NAME = 'writer.lock';

export class Ledger extends LedgerReader {
  readonly #lock: WriterLock;

  private constructor(database: LedgerDatabase, lock: WriterLock) {
    super(database);
    this.#lock = lock;
  }

  /**
   * Opens the ledger in `folder` for writing, and creates it where there is none. An existing one is first read through
   * in a process of its own.
   * @throws CheckpointError E_LEDGER_LOCKED while another process has it open for writing; E_LEDGER_CORRUPT; E_LEDGER_READ;
   *   E_LEDGER_VERSION; E_LEDGER_WRITE.
   */
  static async open(folder: string, options: WriterLockOptions = {}): Promise<Ledger> {
    try {
      await nodeFs.makeFolder(folder);
    } catch (error) {
      throw writeError(error);
    }
    const lock = await takeWriterLock(join(folder, LOCK_NAME), options);
    try {
      const isNew = !(await ledgerFileExists(folder));
      if (!isNew) await checkLedgerFile(folder);
      const database = openOrRefuse(folder, 'write');
      if (isNew) await nodeFs.syncFolder(folder);
      const ledger = new Ledger(database, lock);
      await ledger.#markVersion();
      return ledger;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /**
   * Opens the ledger in `folder` for reading only, also while another process writes it.
   * @throws CheckpointError E_LEDGER_MISSING, E_LEDGER_CORRUPT, E_LEDGER_READ, E_LEDGER_VERSION.
   */
  static async openReader(folder: string): Promise<LedgerReader> {
    if (!(await ledgerFileExists(folder))) {
      throw new CheckpointError('E_LEDGER_MISSING', `${folder} holds no ledger; check the path.`);
    }
    await checkLedgerFile(folder);
    return new LedgerReader(openOrRefuse(folder, 'read'));
  }

  /**
   * Records a committed step; resolves when it is on disk. Calls take effect in order.
   * @throws CheckpointError E_LEDGER_ENTRY; E_LEDGER_GAP unless the step follows the last one or is recorded already;
   *   E_LEDGER_DIVERGED when it is recorded with another digest; E_LEDGER_WRITE; E_LEDGER_LOCK_LOST; E_LEDGER_CORRUPT; E_LEDGER_CLOSED.
   */
  async append(entry: LedgerEntry): Promise<AppendResult> {
    this.assertOpen();
    const given = checkEntry(entry);
    return this.#write(() => {
      const existing = this.stored(given.step);
      if (existing) {
        if (existing.entry.digest === given.digest) return 'confirmed';
        throw new CheckpointError(
          'E_LEDGER_DIVERGED',
          `step ${given.step} gave digest ${given.digest}, but the ledger holds ${existing.entry.digest} (plan then: ` +
            `${existing.entry.plan.join(' ')}; now: ${given.plan.join(' ')}); find the machine that computes differently.`,
        );
      }
      const last = this.lastStored();
      const next = last ? last.entry.step + 1 : FIRST_STEP;
      if (given.step !== next)
        throw new CheckpointError('E_LEDGER_GAP', `step ${given.step} cannot follow: the next step is ${next}.`);
      this.database.putSync(given.step, {
        entry: given,
        chain: nextChain(last?.chain ?? chainStart(this.origin()), given),
      });
      return 'appended';
    });
  }

  /**
   * Records the state of another run that this one starts from, or that it starts from its seed (null); resolves when it is on disk.
   * The same again is a no-op.
   * @throws CheckpointError E_LEDGER_ORIGIN when another one is recorded, or steps were committed without it; E_LEDGER_ENTRY;
   *   E_LEDGER_WRITE; E_LEDGER_CLOSED.
   */
  async setOrigin(origin: Origin | null): Promise<void> {
    this.assertOpen();
    const given = origin === null ? null : checkOrigin(origin);
    await this.#write(() => {
      const stored = this.origin();
      if (canonicalJson(stored) === canonicalJson(given)) return;
      if (stored !== null || given === null || this.lastKey() !== undefined) {
        throw new CheckpointError(
          'E_LEDGER_ORIGIN',
          `the ledger says that the run starts from ${described(stored)}, not from ${described(given)}; restore ledger and run.json from one copy.`,
        );
      }
      this.database.putSync(ORIGIN_KEY, given);
      this.database.putSync(VERSION_KEY, LEDGER_VERSION_WITH_ORIGIN);
    });
  }

  /**
   * Records the generation now in force; resolves when it is on disk.
   * @throws CheckpointError E_LEDGER_GENERATION when it is lower than the stored one; E_LEDGER_WRITE; E_LEDGER_LOCK_LOST; E_LEDGER_CLOSED.
   */
  async setGeneration(generation: number): Promise<void> {
    this.assertOpen();
    await this.#write(() => {
      const stored = this.generation();
      if (!Number.isSafeInteger(generation) || generation < stored) {
        throw new CheckpointError(
          'E_LEDGER_GENERATION',
          `generation ${generation} cannot follow ${stored}; use a whole number not below it.`,
        );
      }
      this.database.putSync(GENERATION_KEY, generation);
    });
  }

  /**
   * Records the run's numerics class; resolves when it is on disk. The class of a run never changes: the first description of
   * its engine stays.
   * @throws CheckpointError E_LEDGER_CLASS when another probe is recorded; E_LEDGER_ENTRY; E_LEDGER_WRITE; E_LEDGER_LOCK_LOST; E_LEDGER_CLOSED.
   */
  async setClass(numericsClass: NumericsClass): Promise<void> {
    this.assertOpen();
    const given = checkClass(numericsClass);
    await this.#write(() => {
      const stored = this.numericsClass();
      if (stored?.probe === given.probe) return;
      if (stored !== null) {
        throw new CheckpointError(
          'E_LEDGER_CLASS',
          `the run's numerics class has probe ${stored.probe}, not ${given.probe}; admit the worker, or refuse it.`,
        );
      }
      this.database.putSync(CLASS_KEY, given);
    });
  }

  /**
   * Records that a worker of another numerics class was let in: from `step` on the run is not reproducible. Resolves when it
   * is on disk. One record for each worker and probe, the first; beyond MAX_ADMITTED none, as they would say nothing new.
   * @throws CheckpointError E_LEDGER_ENTRY; E_LEDGER_WRITE; E_LEDGER_LOCK_LOST; E_LEDGER_CORRUPT; E_LEDGER_CLOSED.
   */
  async admit(admission: Admission): Promise<AdmitResult> {
    this.assertOpen();
    const given = checkAdmission(admission);
    return this.#write(() => {
      const admitted = this.admitted();
      if (admitted.some(({ worker, probe }) => worker === given.worker && probe === given.probe)) return 'known';
      if (admitted.length >= MAX_ADMITTED) return 'full';
      this.database.putSync(recordKey('admitted', admitted.length), given);
      return 'recorded';
    });
  }

  /**
   * Cuts off the entries from `step` on, so that those steps can be done again with other digests, and records the cut; both
   * or neither are on disk when it resolves. The chain goes on from the entry before `step`. Only for a run
   * with admitted workers: in a reproducible one another digest is an error, not a choice.
   * @param at milliseconds since the epoch
   * @throws CheckpointError E_LEDGER_BRANCH when the run is reproducible, no entry has this step or a later one, or
   *   MAX_BRANCHES are recorded; E_LEDGER_ENTRY; E_LEDGER_WRITE; E_LEDGER_LOCK_LOST; E_LEDGER_CORRUPT; E_LEDGER_CLOSED.
   */
  async branch(step: number, reason: string, at: number): Promise<void> {
    this.assertOpen();
    await this.#write(() => {
      const branches = this.branches();
      const refuse = (why: string): never => {
        throw new CheckpointError('E_LEDGER_BRANCH', `the entries from step ${step} on cannot be cut off: ${why}.`);
      };
      const last = this.lastStored() ?? refuse('the ledger is empty; go on from step 0');
      const entries = last.entry.step - step + 1;
      if (!(entries > 0)) refuse(`the last entry is of step ${last.entry.step}; append the next step`);
      if (this.admitted().length === 0)
        refuse('the run is reproducible, so a redone step must give the same digest; find the machine that differs');
      if (branches.length >= MAX_BRANCHES)
        refuse(
          `the run went back ${branches.length} times already; start a new run with workers of one numerics class`,
        );
      const branch = checkBranch({ step, at, reason, entries, lastChain: last.chain });
      this.database.putSync(recordKey('branch', branches.length), branch);
      for (let cut = step; cut <= last.entry.step; cut += 1) this.database.removeSync(cut);
    });
  }

  /** Releases file and lock; a second call is fine. */
  override async close(): Promise<void> {
    await super.close();
    await this.#lock.release();
  }

  /** Inside a write transaction reads see the transaction's own snapshot, which no reset may end. */
  protected override read<T>(operation: () => T): T {
    this.assertOpen();
    try {
      return operation();
    } catch (error) {
      throw new CheckpointError(
        'E_LEDGER_CORRUPT',
        `the ledger cannot be read: ${messageOf(error)}; restore it from a copy.`,
        { cause: error },
      );
    }
  }

  async #markVersion(): Promise<void> {
    if (this.version() !== undefined) return;
    await this.#write(() => this.database.putSync(VERSION_KEY, LEDGER_VERSION));
  }

  /**
   * Synchronous on purpose: it blocks the event loop for one fdatasync (below 1 ms on an SSD), but a failed commit throws
   * here, in the order of the calls. lmdb-js's queued transactions turn a full disk into an unhandled rejection, which ends the process.
   */
  async #write<T>(operation: () => T): Promise<T> {
    const { pending } = this.#lock;
    if (pending !== null) await pending;
    this.#lock.assertHeld();
    try {
      return this.database.transactionSync(operation);
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      throw writeError(error);
    }
  }
}

function described(origin: Origin | null): string {
  return origin === null ? 'its seed' : `step ${origin.step} of run ${origin.runId} (${origin.digest.slice(0, 12)})`;
}

function openOrRefuse(folder: string, mode: 'read' | 'write'): LedgerDatabase {
  try {
    return openDatabase(folder, mode);
  } catch (error) {
    // The file has been checked or is new, so a writer's failure is the disk's.
    if (mode === 'write') throw writeError(error);
    throw readError(`${ledgerFile(folder)} cannot be opened`, error);
  }
}

function writeError(error: unknown): CheckpointError {
  return new CheckpointError(
    'E_LEDGER_WRITE',
    `the ledger cannot be written: ${messageOf(error)}; ${remedyFor(error)}.`,
    { cause: error },
  );
}
