/** `lockstep status`: asks a coordinator and prints its answer, once or each second. */
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { askStatus, coordinatorAddress, describeStatus, type Answer } from './status.js';

/** Milliseconds between two questions of --watch. */
const WATCH_INTERVAL_MS = 1_000;

/** To the upper left corner, and clear what is below. */
const CLEAR_SCREEN = '\u001b[H\u001b[J';

export function statusCommand(env: NodeJS.ProcessEnv): Command {
  return new Command('status')
    .description('prints what the coordinator of a run that is under way says: progress, workers, stragglers and why')
    .argument(
      '[address-or-directory]',
      'http://host:port, or directory of the run',
      env['LOCKSTEP_OUT'] ?? 'runs/default',
    )
    .option('--json', "print the coordinator's JSON as it comes")
    .option('--watch', 'ask again each second, until the run is over or Ctrl-C')
    .action(async (target: string, options: { readonly json?: boolean; readonly watch?: boolean }) => {
      const show = ({ text, status }: Answer): string =>
        options.json === true ? `${text.trimEnd()}\n` : `${describeStatus(status).join('\n')}\n`;
      const once = async (): Promise<Answer> => askStatus(await coordinatorAddress(target));
      if (options.watch !== true) {
        process.stdout.write(show(await once()));
        return;
      }
      await watch({
        ask: once,
        pause: () => pause(WATCH_INTERVAL_MS),
        write: (answer) =>
          process.stdout.write((process.stdout.isTTY && options.json !== true ? CLEAR_SCREEN : '') + show(answer)),
      });
    });
}

/** Asks and writes until the run is over, or rejects when the coordinator answers no more. */
export async function watch(edge: {
  readonly ask: () => Promise<Answer>;
  readonly pause: () => Promise<void>;
  readonly write: (answer: Answer) => void;
}): Promise<void> {
  for (;;) {
    const answer = await edge.ask();
    edge.write(answer);
    if (answer.status.phase === 'over') return;
    await edge.pause();
  }
}
