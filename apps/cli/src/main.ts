/** The `lockstep` command as a process: what it prints to, and its exit status. Owns no logic of training. */
import { availableParallelism } from 'node:os';
import { CommanderError } from 'commander';
import { EXIT, exitStatusOf, failureLine, failureOf } from '@lockstep/base';
import { guardOutput, outliveTerminal } from '@lockstep/process';
import { lockstepProgram } from './program.js';

// Whoever read our output may go (`| head`): what trains or draws goes on, and what only prints ends by itself.
const unread = guardOutput(process, (text) => {
  process.stderr.write(`${text}\n`);
  // `up` sets its own status: the training is what it was started for.
  process.exitCode = 1;
});

const program = lockstepProgram({ processors: availableParallelism(), env: process.env, unread });

outliveTerminal();

program.parseAsync().catch((error: unknown) => {
  // Commander has said already what is wrong with the arguments; a wish for help ends with 0.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage;
    return;
  }
  process.stderr.write(`${failureLine(error)}\n`);
  process.exitCode = exitStatusOf(failureOf(error).code, 'lockstep');
});
