/** What the tests of the ledger share. */
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { CheckpointError } from '#src/errors.js';
import { Ledger } from '#src/ledger/ledger.js';

/** For assert.rejects and assert.throws: a CheckpointError with this code. */
export const hasCode = (code: string) => (error: unknown) => error instanceof CheckpointError && error.code === code;

/** Path of a ledger that is not there yet, in a folder that is gone when the test is over. */
export async function ledgerFolder(context: TestContext): Promise<string> {
  const path = await fs.mkdtemp(join(tmpdir(), 'lockstep-ledger-'));
  context.after(() => fs.rm(path, { recursive: true, force: true }));
  return join(path, 'ledger');
}

/** The ledger at `path`, closed when the test is over. */
export async function opened(context: TestContext, path: string): Promise<Ledger> {
  const ledger = await Ledger.open(path);
  context.after(() => ledger.close());
  return ledger;
}
