/** `nx run sampler:sample`, and the sample job's container. */
import { availableParallelism } from 'node:os';
import { failureLine } from '@lockstep/config';
import { sampleCommand } from './cli.js';

sampleCommand('sample', availableParallelism(), process.env)
  .parseAsync()
  .catch((error: unknown) => {
    process.stderr.write(`${failureLine(error)}
`);
    process.exitCode = 1;
  });
