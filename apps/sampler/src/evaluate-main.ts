/** `nx run sampler:evaluate`, and the evaluations that a coordinator starts. */
import { availableParallelism } from 'node:os';
import { exitStatusOf, failureLine, failureOf } from '@lockstep/base';
import { guardOutput, outliveTerminal } from '@lockstep/process';
import { evaluateCommand } from './evaluate/evaluate-command.js';

guardOutput(process, (text) => {
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
});
outliveTerminal();
evaluateCommand('evaluate', availableParallelism(), process.env)
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`${failureLine(error)}\n`);
    process.exitCode = exitStatusOf(failureOf(error).code, 'lockstep');
  });
