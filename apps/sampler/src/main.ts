/** `nx run sampler:sample`, and the sample job's container. */
import { availableParallelism } from 'node:os';
import { sampleCommand } from './cli.js';

sampleCommand('sample', availableParallelism(), process.env)
  .parseAsync()
  .catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? `${String(error.code)}: ` : '';
    process.stderr.write(`${code}${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
