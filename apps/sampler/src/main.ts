/** `nx run sampler:sample`, and the sample job's container. */
import { availableParallelism } from 'node:os';
import { sampleCommand } from './cli.js';
import { runAsProcess } from './command-process.js';

runAsProcess(sampleCommand('sample', availableParallelism(), process.env));
