/** A command of the sampler as a process of its own: what it prints to, and its exit status. */
import { CommanderError, type Command } from 'commander';
import { EXIT, exitStatusOf, failureLine, failureOf } from '@lockstep/base';
import { guardOutput, outliveTerminal, usageOutput } from '@lockstep/process';

export function runAsProcess(command: Command): void {
  guardOutput(process, (text) => {
    process.stderr.write(`${text}\n`);
    process.exitCode = 1;
  });
  outliveTerminal();
  command
    .exitOverride()
    .configureOutput(usageOutput)
    .parseAsync()
    .catch((error: unknown) => {
      // Commander has said already what is wrong with the arguments; a wish for help ends with 0.
      if (error instanceof CommanderError) {
        process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
        return;
      }
      process.stderr.write(`${failureLine(error)}\n`);
      process.exitCode = exitStatusOf(failureOf(error).code, 'lockstep');
    });
}
