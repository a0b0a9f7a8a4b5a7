/** `nx run sampler:evaluate`, and the evaluations that a coordinator starts. */
import { availableParallelism } from 'node:os';
import { failureLine, guardOutput, outliveTerminal } from '@lockstep/config';
import { evaluateCommand } from './evaluate-command.js';

guardOutput(process, (text) => {
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
});
outliveTerminal();
evaluateCommand('evaluate', availableParallelism(), process.env)
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`${failureLine(error)}\n`);
    process.exitCode = 1;
  });
