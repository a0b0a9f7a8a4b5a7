/** A ledger's file, before LMDB may map it into this process: is it there, and does another process survive reading it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { systemCode } from '@lockstep/base';
import { nodeFs } from '../durable-fs.js';
import { CheckpointError } from '../errors.js';
import { ledgerFile } from './ledger-reader.js';

/** About 15 million entries; a check that takes longer hangs on bad storage. */
const CHECK_TIMEOUT_MS = 300_000;

const reportSchema = z.discriminatedUnion('ok', [
  z.strictObject({ ok: z.literal(true), entries: z.int() }),
  z.strictObject({
    ok: z.literal(false),
    code: z.enum(['E_LEDGER_CORRUPT', 'E_LEDGER_VERSION', 'E_LEDGER_READ']),
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

/** What a process ends by that trusts a damaged file which LMDB has mapped into its memory. */
const DEADLY: readonly unknown[] = ['SIGSEGV', 'SIGBUS', 'SIGFPE', 'SIGILL'];

/**
 * Reads the ledger in `folder` through in a process of its own.
 * @throws CheckpointError E_LEDGER_VERSION; E_LEDGER_CORRUPT when a step is bad or that process does not survive the file;
 *   E_LEDGER_READ when it could not be read to its end for another reason, so that nothing is known of it.
 */
export async function checkLedgerFile(folder: string): Promise<void> {
  const script = fileURLToPath(new URL('./ledger-check.js', import.meta.url));
  const { error, stdout, stderr } = await new Promise<{ error: Failure; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [script, folder], { timeout: CHECK_TIMEOUT_MS }, (failure, out, err) =>
      resolve({ error: failure, stdout: out, stderr: err }),
    );
  });
  const report = error ? undefined : parseReport(stdout);
  if (report?.ok) return;
  const file = ledgerFile(folder);
  if (report === undefined) {
    const { corrupt, what } = howItEnded(error, stderr);
    if (!corrupt)
      throw new CheckpointError('E_LEDGER_READ', `${file} could not be checked: ${what}; try again.`, { cause: error });
    throw new CheckpointError('E_LEDGER_CORRUPT', `${file} is damaged: ${what}; restore it from a copy.`, {
      cause: error,
    });
  }
  const reason = withoutCode(report.reason);
  if (report.code === 'E_LEDGER_CORRUPT')
    throw new CheckpointError(report.code, `${file} is damaged: ${reason}; restore it from a copy.`);
  throw new CheckpointError(report.code, `${file}: ${reason}`);
}

type Failure = (Error & { signal?: NodeJS.Signals | null; killed?: boolean; code?: unknown }) | null;

/** Of a check that gave no report: what is known of its end, and whether that says something of the file. */
export function howItEnded(error: Failure, stderr: string): { corrupt: boolean; what: string } {
  const said = stderr.trimEnd().split('\n').at(-1) ?? '';
  if (error?.killed === true)
    return { corrupt: false, what: `reading it through took more than ${CHECK_TIMEOUT_MS / 1000} s` };
  const signal = error?.signal ?? null;
  if (signal !== null) {
    // LMDB's own checks of its pages end by abort; so does a lack of memory.
    const corrupt = DEADLY.includes(signal) || (signal === 'SIGABRT' && /assert/i.test(stderr));
    return {
      corrupt,
      what: `the process that read it through was ended by ${signal}${corrupt || said === '' ? '' : `, saying: ${said}`}`,
    };
  }
  const how =
    error === null
      ? 'gave no report'
      : typeof error.code === 'number'
        ? `ended with status ${error.code}`
        : error.message;
  return { corrupt: false, what: `the process that reads it through ${how}${said === '' ? '' : `, saying: ${said}`}` };
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
