/** The coordinator process. Started by `lockstep up`, by `nx run coordinator:serve`, or in a container. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { openTrace, writeCoordinatorAddress } from '@lockstep/checkpoint';
import { hostInUrl, reachableHere } from '@lockstep/comm';
import { ConfigError, failureLine, loadConfig, machineNames, parseFlags } from '@lockstep/config';
import { systemClocks } from './clocks.js';
import { openCoordinator } from './open.js';
import type { Report } from './server.js';
import type { Note } from './state.js';

/** Evaluations run as a process, so this app imports nothing of the sampler; both lie in one workspace. */
const EVALUATE = fileURLToPath(import.meta.resolve('@lockstep/sampler/evaluate'));

function log(level: string, text: string): void {
  process.stdout.write(`${new Date().toISOString()} ${level} ${text}\n`);
}

/** logfmt: key=value, in the order of the note. */
function fields(note: Note): string {
  return Object.entries(note)
    .map(
      ([key, value]) => `${key}=${typeof value === 'string' && !/[\s="]/.test(value) ? value : JSON.stringify(value)}`,
    )
    .join(' ');
}

/** What a person should look at. */
const WARNINGS: ReadonlySet<Note['note']> = new Set([
  'publish-failed',
  'evaluation-failed',
  'worker-lost',
  'worker-refused',
  'worker-admitted',
  'straggler',
  'non-finite',
  'contested',
  'rolled-back',
]);

function tell(report: Report): void {
  log(WARNINGS.has(report.note.note) ? 'warn' : 'info', fields(report.note));
  if (process.connected) process.send?.({ kind: 'report', report });
}

async function main(): Promise<number> {
  const config = loadConfig({ schema: 'run', env: process.env, ...parseFlags('run', process.argv.slice(2)) });
  const server = await openCoordinator(config, {
    clocks: systemClocks,
    freshRunId: randomUUID(),
    machineNames: machineNames(),
    report: tell,
    warn: (text) => log('warn', text),
    tell: (text) => {
      log('info', text);
      if (process.connected) process.send?.({ kind: 'told', text });
    },
    evaluator: { module: EVALUATE, env: process.env },
    trace: openTrace(config.trace === null ? null : { file: config.trace, process: 'coordinator' }, 'decisions'),
  });
  log(
    'info',
    `process ${process.pid}, listening on ${hostInUrl(config.host)}:${server.port}, run directory ${config.out}`,
  );
  const address = `http://${hostInUrl(reachableHere(config.host))}:${server.port}`;
  // Only `lockstep status DIR` needs it: a full disk must not stop the run for that.
  await writeCoordinatorAddress(config.out, { address, pid: process.pid }).catch((error: unknown) =>
    log('warn', failureLine(error)),
  );
  if (process.connected) process.send?.({ kind: 'listening', port: server.port });
  process.on('SIGTERM', () => server.stop('SIGTERM'));
  process.on('SIGINT', () => server.stop('SIGINT'));
  // Started by `lockstep up`, it must not outlive it.
  process.on('disconnect', () => server.stop('its parent process is gone'));
  const outcome = await server.finished;
  return outcome.kind === 'failed' ? 1 : 0;
}

main().then(
  (status) => {
    process.exitCode = status;
    if (process.connected) process.disconnect();
  },
  (error: unknown) => {
    const text = failureLine(error);
    log('error', text);
    if (process.connected) process.send?.({ kind: 'fatal', text });
    process.exitCode = error instanceof ConfigError ? error.exitCode : 1;
    if (process.connected) process.disconnect();
  },
);
