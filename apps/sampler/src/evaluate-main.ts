/** `nx run sampler:evaluate`, and the evaluations that a coordinator starts. */
import { availableParallelism } from 'node:os';
import { failureLine } from '@lockstep/config';
import { evaluateCommand } from './evaluate-command.js';

evaluateCommand('evaluate', availableParallelism(), process.env)
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`${failureLine(error)}\n`);
    process.exitCode = 1;
  });
