/** The `lockstep` command: one file a subcommand; owns no logic of training. */
import { availableParallelism } from 'node:os';
import { Command, CommanderError } from 'commander';
import { exitStatusOf, failureLine, failureOf } from '@lockstep/base';
import { guardOutput, outliveTerminal } from '@lockstep/process';
import { evaluateCommand, sampleCommand } from '@lockstep/sampler';
import { digestCommand } from './commands/digest-command.js';
import { exportCommand } from './commands/export-command.js';
import { replayCommand } from './commands/replay-command.js';
import { statusCommand } from './commands/status-command.js';
import { tryCommand } from './commands/try-command.js';
import { upCommand } from './commands/up-command.js';
import { verifyCommand } from './commands/verify-command.js';

// Whoever read our output may go (`| head`): what trains or draws goes on, and what only prints ends by itself.
const unread = guardOutput(process, (text) => {
  process.stderr.write(`${text}\n`);
  // `up` sets its own status: the training is what it was started for.
  process.exitCode = 1;
});

const program = new Command('lockstep').description(
  'Elastic data-parallel training of a diffusion model. The weights do not depend on who did the work.',
);

for (const command of [
  upCommand(),
  sampleCommand('sample', availableParallelism(), process.env),
  evaluateCommand('eval', availableParallelism(), process.env),
  tryCommand(process.env),
  digestCommand(),
  statusCommand(process.env, unread),
  verifyCommand(),
  replayCommand(process.env),
  exportCommand(process.env),
]) {
  program.addCommand(command);
}
for (const command of [program, ...program.commands]) command.showHelpAfterError().exitOverride();

outliveTerminal();

program.parseAsync().catch((error: unknown) => {
  // Commander has said already what is wrong with the arguments; a wish for help ends with 0.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    return;
  }
  process.stderr.write(`${failureLine(error)}\n`);
  process.exitCode = exitStatusOf(failureOf(error).code, 'lockstep');
});
