/**
 * Run as a process of its own: reads the whole ledger in the folder given as argument and prints a ChainReport as JSON.
 * LMDB maps the file into memory and trusts it: a cut or overwritten file can end the process that reads it with a
 * signal. Here that ends only the check.
 */
import { CheckpointError } from '../errors.js';
import { badReport, LedgerReader, openDatabase, readError, type ChainReport } from './ledger-reader.js';

async function check(folder: string): Promise<ChainReport> {
  try {
    const reader = new LedgerReader(openDatabase(folder, 'read'));
    const report = reader.verifyChain();
    await reader.close();
    return report;
  } catch (error) {
    return badReport(error instanceof CheckpointError ? error : readError('it cannot be opened', error));
  }
}

process.stdout.write(JSON.stringify(await check(process.argv[2])));
