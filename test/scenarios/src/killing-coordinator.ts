/** A coordinator process as `lockstep up` starts it, on a disk that kills it before operation CHAOS_KILL_BEFORE of a checkpoint. */
import { randomUUID } from 'node:crypto';
import { failureLine } from '@lockstep/base';
import { loadGiven, parseFlags } from '@lockstep/config';
import { systemClocks } from '@lockstep/coordinator';
import { openCoordinator } from '@lockstep/coordinator/open';
import { killingFs } from './killing-fs.js';

async function main(): Promise<number> {
  const config = loadGiven({ schema: 'run', env: process.env, ...parseFlags('run', process.argv.slice(2)) });
  const server = await openCoordinator(config, {
    clocks: systemClocks,
    freshRunId: randomUUID(),
    report: (report) => {
      process.stdout.write(`${JSON.stringify(report.note)}\n`);
      if (process.connected) process.send?.({ kind: 'report', report });
    },
    warn: (text) => process.stdout.write(`${text}\n`),
    disk: killingFs(Number(process.env['CHAOS_KILL_BEFORE'] ?? 0), () => process.kill(process.pid, 'SIGKILL')),
  });
  process.on('disconnect', () => server.stop('its parent process is gone'));
  const outcome = await server.finished;
  return outcome.kind === 'failed' ? 1 : 0;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stdout.write(`${failureLine(error)}\n`);
    process.exit(1);
  },
);
