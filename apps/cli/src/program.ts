/** The `lockstep` command with all its subcommands, one file each; nothing is read or run before it is parsed. */
import { Command } from 'commander';
import { usageOutput } from '@lockstep/process';
import { evaluateCommand, sampleCommand } from '@lockstep/sampler';
import { digestCommand } from './commands/digest-command.js';
import { exportCommand } from './commands/export-command.js';
import { replayCommand } from './commands/replay-command.js';
import { statusCommand } from './commands/status-command.js';
import { tryCommand } from './commands/try-command.js';
import { upCommand } from './commands/up-command.js';
import { verifyCommand } from './commands/verify-command.js';

export interface Surroundings {
  /** Number of processors at hand. */
  readonly processors: number;
  readonly env: NodeJS.ProcessEnv;
  /** Aborted when nobody reads standard output any more. */
  readonly unread: AbortSignal;
}

export function lockstepProgram({ processors, env, unread }: Surroundings): Command {
  const program = new Command('lockstep').description(
    'Elastic data-parallel training. The weights do not depend on who did the work.',
  );
  for (const command of [
    upCommand(env),
    sampleCommand('sample', processors, env),
    evaluateCommand('eval', processors, env),
    tryCommand(env),
    digestCommand(),
    statusCommand(env, unread),
    verifyCommand(),
    replayCommand(env),
    exportCommand(env),
  ]) {
    program.addCommand(command);
  }
  for (const command of withSubcommands(program))
    command.showHelpAfterError().exitOverride().configureOutput(usageOutput);
  return program;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap((below) => withSubcommands(below))];
}
