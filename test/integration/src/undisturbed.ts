/** What one worker comes to whom nobody disturbs: what every other run of the same recipe is compared with. */
import { existsSync } from 'node:fs';
import { Ledger, runPaths, type LedgerEntry } from '@lockstep/run';
import { Cli, ENDLESS, tinyRun, untilStep } from './harness.js';

/** The ledger's entries of a run that may be under way, by step; its last one where no step is named, undefined where it has none. */
export async function entryOf(out: string, step?: number): Promise<LedgerEntry | undefined> {
  const ledger = await Ledger.openReader(runPaths(out).ledger);
  const entry = step === undefined ? ledger.last() : ledger.get(step);
  await ledger.close();
  return entry;
}

/** Stops a run as Ctrl-C does, and gives the last entry of its ledger. Throws if it does not end as it should. */
export async function stopped(run: Cli, out: string): Promise<LedgerEntry> {
  run.signal('SIGINT');
  const { status, stdout, stderr } = await run.ended;
  const last = await entryOf(out);
  if (status !== 130 || last === undefined) throw new Error(`it ended with ${status ?? '?'}:\n${stdout}${stderr}`);
  return last;
}

/** An endless run that goes on whenever more of it is asked for. */
export class Undisturbed {
  constructor(
    private readonly out: string,
    private readonly more: readonly string[] = [],
  ) {}

  /** Digest of the state after this step, whose number counts from 0. */
  async digestAfter(step: number): Promise<string> {
    const begun = existsSync(runPaths(this.out).ledger);
    const known = begun ? await entryOf(this.out, step) : undefined;
    if (known !== undefined) return known.digest;
    const run = new Cli(tinyRun(this.out, 1, ENDLESS, ...this.more, ...(begun ? ['--resume'] : [])));
    // Twice as far as is asked for, so that it is not started again for each who asks for a little more.
    await untilStep(run, 2 * (step + 1));
    await stopped(run, this.out);
    return this.digestAfter(step);
  }
}
