/** `nx run sampler:evaluate`, and the evaluations that a coordinator starts. */
import { availableParallelism } from 'node:os';
import { runAsProcess } from './command-process.js';
import { evaluateCommand } from './evaluate/evaluate-command.js';

runAsProcess(evaluateCommand('evaluate', availableParallelism(), process.env));
