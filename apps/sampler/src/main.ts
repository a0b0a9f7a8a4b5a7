/** `nx run sampler:sample`, and the sample job's container. */
import { availableParallelism } from 'node:os';
import { exitStatusOf, failureLine, failureOf } from '@lockstep/base';
import { guardOutput, outliveTerminal } from '@lockstep/process';
import { sampleCommand } from './cli.js';

guardOutput(process, (text) => {
  process.stderr.write(`${text}\n`);
  process.exitCode = 1;
});
outliveTerminal();
sampleCommand('sample', availableParallelism(), process.env)
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`${failureLine(error)}\n`);
    process.exitCode = exitStatusOf(failureOf(error).code, 'lockstep');
  });
