/** `lockstep status`: asks a coordinator and prints its answer, once or each second; without one, what the run's directory says. */
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { CheckpointError, readCoordinatorAddress, readRun } from '@lockstep/run';
import type { Status } from '@lockstep/coordinator';
import { columnsOf } from '@lockstep/process';
import { runDirectoryIn } from '@lockstep/config';
import { CliError } from '../errors.js';
import { completeLine, isComplete, storedStatus, unfinished } from '../up/run-end.js';
import { askStatus, coordinatorAddress, describeStatus, firstScreen, type Answer } from '../status/status.js';

/** Milliseconds between two questions of --watch. */
const WATCH_INTERVAL_MS = 1_000;
/** A coordinator that answered and does not now may be started again (`lockstep up` does that): questions until it counts as gone. */
const PATIENCE = 10;

/** Where a terminal does not say how high it is. */
const UNKNOWN_ROWS = 24;
/** To the upper left corner, and clear what is below. */
const CLEAR_SCREEN = '\u001b[H\u001b[J';

type Options = { readonly json?: boolean; readonly watch?: boolean };

/** `unread` is aborted when nobody reads standard output any more. */
export function statusCommand(env: NodeJS.ProcessEnv, unread: AbortSignal): Command {
  return new Command('status')
    .description(
      'prints what the coordinator of a run says: progress, workers, stragglers and why; or how the run in a directory ended',
    )
    .argument('[address-or-directory]', 'http://host:port, or directory of the run', runDirectoryIn(env))
    .option('--json', "print the coordinator's JSON as it comes; of a complete run, the same with complete: true")
    .option('--watch', 'ask again each second, until the run is over or Ctrl-C')
    .action((target: string, options: Options) => {
      const { stdout } = process;
      return watch({
        look: () => look(target),
        pause: () => pause(WATCH_INTERVAL_MS, undefined, { signal: unread }).catch(() => undefined),
        write: (seen, isLast) => stdout.write(textOf(seen, isLast, options, stdout)),
        isRead: () => !unread.aborted,
        once: options.watch !== true,
      });
    });
}

/** A coordinator's answer; or what is known without one, and why there is none. */
export type Seen =
  ({ readonly kind: 'answer' } & Answer) | { readonly kind: 'stored'; readonly status: Status; readonly why: string };

/**
 * Asks the coordinator at an address, or that of the run in a directory; where none answers, the directory does.
 * @throws CliError E_STATUS_*; CheckpointError E_RUN_CORRUPT, E_LEDGER_*
 */
export async function look(target: string): Promise<Seen> {
  try {
    const answer = await askStatus(await coordinatorAddress(target));
    if (isAddress(target) || (await readRun(target)).runId === answer.status.run) return { kind: 'answer', ...answer };
    throw new CliError('E_STATUS_UNREACHABLE', `another run answers where the one in ${target} did`);
  } catch (error) {
    if (isAddress(target) || !(error instanceof CliError)) throw error;
    const status = await storedStatus(target).catch((reason: unknown) => {
      // No run's directory: what was wrong with the question is to be said.
      throw isMissing(reason) ? error : reason;
    });
    const address = (await readCoordinatorAddress(target))?.address ?? 'any address';
    const why =
      error.code === 'E_STATUS_FORMAT'
        ? 'what answers is no coordinator'
        : `no coordinator of it answers at ${address}`;
    return { kind: 'stored', status, why };
  }
}

function isAddress(target: string): boolean {
  return /^[a-z]+:\/\//i.test(target);
}

function isMissing(error: unknown): boolean {
  return error instanceof CheckpointError && (error.code === 'E_RUN_MISSING' || error.code === 'E_LEDGER_MISSING');
}

/**
 * Looks and writes until the run is complete, or once. What is written last of a run that is complete says so.
 * @throws CliError E_STATUS_UNREACHABLE where the run is not complete and no coordinator answers, naming the step
 */
export async function watch(edge: {
  readonly look: () => Promise<Seen>;
  readonly pause: () => Promise<void>;
  readonly write: (seen: Seen, isComplete: boolean) => void;
  readonly isRead: () => boolean;
  readonly once: boolean;
}): Promise<void> {
  let last: Status | null = null;
  let unanswered = 0;
  while (edge.isRead()) {
    const seen = await lookAfter(last, edge.look);
    if (seen.kind === 'answer') {
      edge.write(seen, false);
      if (edge.once) return;
      last = seen.status;
      unanswered = 0;
    } else if (isComplete(seen.status)) {
      edge.write(seen, true);
      return;
    } else if (last === null || last.phase === 'over' || ++unanswered >= PATIENCE) {
      throw unfinished(seen.status, seen.why);
    }
    await edge.pause();
  }
}

/** Of an address, the last answer is all that is known when none comes any more. */
async function lookAfter(last: Status | null, look: () => Promise<Seen>): Promise<Seen> {
  try {
    return await look();
  } catch (error) {
    if (last === null || !(error instanceof CliError) || error.code !== 'E_STATUS_UNREACHABLE') throw error;
    // With all steps done only the last checkpoint was left to be written, and a coordinator stays until it is.
    const status = last.step === last.steps ? { ...last, checkpoint: last.steps } : last;
    return { kind: 'stored', status, why: 'it answers no more' };
  }
}

function textOf(seen: Seen, complete: boolean, { json, watch: again }: Options, stream: NodeJS.WriteStream): string {
  if (seen.kind === 'stored') {
    const { status } = seen;
    return `${json === true ? JSON.stringify({ ...status, complete }) : `run ${status.run}\n${completeLine(status)}`}\n`;
  }
  if (json === true) return `${seen.text.trimEnd()}\n`;
  if (!stream.isTTY) return `${describeStatus(seen.status).join('\n')}\n`;
  const columns = columnsOf(stream);
  const lines = describeStatus(seen.status, columns);
  return again === true
    ? `${CLEAR_SCREEN}${firstScreen(lines, columns, stream.rows || UNKNOWN_ROWS).join('\n')}\n`
    : `${lines.join('\n')}\n`;
}
