/**
 * A pretended evaluation for tests: the environment says what it prints and how it ends, and it leaves a line for each call, with its
 * arguments and its priority, in a file.
 */
import { appendFileSync, existsSync } from 'node:fs';
import { getPriority } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

const {
  FIXTURE_CALLS: calls = '',
  FIXTURE_OUTPUT: output = '',
  FIXTURE_STATUS: status = '0',
  FIXTURE_GATE,
} = process.env;
appendFileSync(
  calls,
  `${JSON.stringify({ pid: process.pid, arguments: process.argv.slice(2), priority: getPriority() })}\n`,
);
while (FIXTURE_GATE !== undefined && !existsSync(FIXTURE_GATE)) await pause(20);
process.stdout.write(output);
process.stderr.write('words\nE_DATA_MISSING: cannot go on\n');
process.exitCode = Number(status);
