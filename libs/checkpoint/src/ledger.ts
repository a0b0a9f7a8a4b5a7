/**
 * The ledger: the coordinator's durable record, one entry a committed step, on LMDB. An entry is on disk before append()
 * resolves; entries never change; a redone step must give the digest that is already there.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { nodeFs } from './durable-fs.js';
import { CheckpointError, messageOf, systemCode } from './errors.js';
import { CHAIN_START, checkEntry, FIRST_STEP, nextChain, type LedgerEntry } from './ledger-entry.js';
import {
  GENERATION_KEY,
  PROBE_KEY,
  ledgerFile,
  LedgerReader,
  openDatabase,
  type LedgerDatabase,
} from './ledger-reader.js';
import { takeWriterLock, type WriterLock } from './writer-lock.js';

/** 'appended': new on disk. 'confirmed': the step was there already, with the same digest. */
export type AppendResult = 'appended' | 'confirmed';

const LOCK_NAME = 'writer.lock';

/** About 15 million entries; a check that takes longer hangs on bad storage. */
const CHECK_TIMEOUT_MS = 300_000;

const reportSchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), entries: z.int() }),
  z.strictObject({ ok: z.literal(false), step: z.int(), reason: z.string() }),
]);

export class Ledger extends LedgerReader {
  readonly #lock: WriterLock;

  private constructor(database: LedgerDatabase, lock: WriterLock) {
    super(database);
    this.#lock = lock;
  }

  /**
   * Opens the ledger in `folder` for writing, and creates it where there is none. An existing one is first read through
   * in a process of its own.
   * @throws CheckpointError E_LEDGER_LOCKED while another process has it open for writing; E_LEDGER_CORRUPT; E_LEDGER_WRITE.
   */
  static async open(folder: string): Promise<Ledger> {
    try {
      await nodeFs.makeFolder(folder);
    } catch (error) {
      throw writeError(error);
    }
    const lock = await takeWriterLock(join(folder, LOCK_NAME));
    try {
      const isNew = !(await exists(ledgerFile(folder)));
      if (!isNew) await checkFile(folder);
      const database = openOrRefuse(folder, 'write');
      if (isNew) await nodeFs.syncFolder(folder);
      return new Ledger(database, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /**
   * Opens the ledger in `folder` for reading only, also while another process writes it.
   * @throws CheckpointError E_LEDGER_MISSING, E_LEDGER_CORRUPT.
   */
  static async openReader(folder: string): Promise<LedgerReader> {
    if (!(await exists(ledgerFile(folder)))) {
      throw new CheckpointError('E_LEDGER_MISSING', `${folder} holds no ledger; check the path.`);
    }
    await checkFile(folder);
    return new LedgerReader(openOrRefuse(folder, 'read'));
  }

  /**
   * Records a committed step; resolves when it is on disk. Calls take effect in order.
   * @throws CheckpointError E_LEDGER_ENTRY; E_LEDGER_GAP unless the step follows the last one or is recorded already;
   *   E_LEDGER_DIVERGED when it is recorded with another digest; E_LEDGER_WRITE; E_LEDGER_CORRUPT; E_LEDGER_CLOSED.
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
      this.database.putSync(given.step, { entry: given, chain: nextChain(last?.chain ?? CHAIN_START, given) });
      return 'appended';
    });
  }

  /**
   * Records the generation now in force; resolves when it is on disk.
   * @throws CheckpointError E_LEDGER_GENERATION when it is lower than the stored one; E_LEDGER_WRITE; E_LEDGER_CLOSED.
   */
  async setGeneration(generation: number): Promise<void> {
    this.assertOpen();
    this.#write(() => {
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

  /** Records the digest of the run's numerics class; resolves when it is on disk. @throws CheckpointError E_LEDGER_WRITE; E_LEDGER_CLOSED. */
  async setProbe(probe: string): Promise<void> {
    this.assertOpen();
    this.#write(() => this.database.putSync(PROBE_KEY, probe));
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

  /**
   * Synchronous on purpose: it blocks the event loop for one fdatasync (below 1 ms on an SSD), but a failed commit throws
   * here. lmdb-js's queued transactions turn a full disk into an unhandled rejection, which ends the process.
   */
  #write<T>(operation: () => T): T {
    try {
      return this.database.transactionSync(operation);
    } catch (error) {
      if (error instanceof CheckpointError) throw error;
      throw writeError(error);
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await nodeFs.sizeOf(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

function openOrRefuse(folder: string, mode: 'read' | 'write'): LedgerDatabase {
  try {
    return openDatabase(folder, mode);
  } catch (error) {
    // The file has been checked or is new, so a writer's failure is the disk's.
    if (mode === 'write') throw writeError(error);
    throw new CheckpointError(
      'E_LEDGER_CORRUPT',
      `${ledgerFile(folder)} cannot be opened: ${messageOf(error)}; restore it from a copy.`,
      { cause: error },
    );
  }
}

/** @throws CheckpointError E_LEDGER_CORRUPT when the check finds a bad step or does not survive the file. */
async function checkFile(folder: string): Promise<void> {
  const script = fileURLToPath(new URL('./ledger-check.js', import.meta.url));
  const output = await new Promise<{ error: Error | null; stdout: string }>((resolve) => {
    execFile(process.execPath, [script, folder], { timeout: CHECK_TIMEOUT_MS }, (error, stdout) =>
      resolve({ error, stdout }),
    );
  });
  const report = output.error ? undefined : parseReport(output.stdout);
  if (report?.ok) return;
  const what = report ? report.reason : 'the process that read it through did not survive it';
  throw new CheckpointError('E_LEDGER_CORRUPT', `${ledgerFile(folder)} is damaged: ${what}; restore it from a copy.`, {
    cause: output.error,
  });
}

function parseReport(text: string): z.infer<typeof reportSchema> | undefined {
  try {
    return reportSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function writeError(error: unknown): CheckpointError {
  return new CheckpointError(
    'E_LEDGER_WRITE',
    `the ledger cannot be written: ${messageOf(error)}; check space and permissions.`,
    { cause: error },
  );
}
