/** A ledger's file, before LMDB may map it into this process: is it there, and does another process survive reading it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { nodeFs } from './durable-fs.js';
import { CheckpointError, systemCode } from './errors.js';
import { ledgerFile } from './ledger-reader.js';

/** About 15 million entries; a check that takes longer hangs on bad storage. */
const CHECK_TIMEOUT_MS = 300_000;

const reportSchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), entries: z.int() }),
  z.strictObject({
    ok: z.literal(false),
    code: z.enum(['E_LEDGER_CORRUPT', 'E_LEDGER_VERSION']),
    step: z.int(),
    reason: z.string(),
  }),
]);

export async function ledgerFileExists(folder: string): Promise<boolean> {
  try {
    await nodeFs.sizeOf(ledgerFile(folder));
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/**
 * Reads the ledger in `folder` through in a process of its own.
 * @throws CheckpointError E_LEDGER_VERSION; E_LEDGER_CORRUPT when a step is bad or that process does not survive the file.
 */
export async function checkLedgerFile(folder: string): Promise<void> {
  const script = fileURLToPath(new URL('./ledger-check.js', import.meta.url));
  const output = await new Promise<{ error: Error | null; stdout: string }>((resolve) => {
    execFile(process.execPath, [script, folder], { timeout: CHECK_TIMEOUT_MS }, (error, stdout) =>
      resolve({ error, stdout }),
    );
  });
  const report = output.error ? undefined : parseReport(output.stdout);
  if (report?.ok) return;
  if (report?.code === 'E_LEDGER_VERSION')
    throw new CheckpointError('E_LEDGER_VERSION', `${ledgerFile(folder)}: ${withoutCode(report.reason)}`);
  const what = report ? withoutCode(report.reason) : 'the process that read it through did not survive it';
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

/** A CheckpointError's message begins with its code, which the error made of it repeats. */
function withoutCode(reason: string): string {
  return reason.replace(/^E_[A-Z_]+: /, '');
}
