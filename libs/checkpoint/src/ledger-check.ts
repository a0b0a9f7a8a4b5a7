/**
 * Run as a process of its own: reads the whole ledger in the folder given as argument and prints a ChainReport as JSON.
 * LMDB maps the file into memory and trusts it: a cut or overwritten file can end the process that reads it with a
 * signal. Here that ends only the check.
 */
import { LedgerReader, openDatabase } from './ledger-reader.js';

const reader = new LedgerReader(openDatabase(process.argv[2], 'read'));
process.stdout.write(JSON.stringify(reader.verifyChain()));
await reader.close();
