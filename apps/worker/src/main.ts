/** A worker process. Started by `lockstep up`, by `nx run worker:serve`, or in a container: one a GPU, or one a core. */
import { hostname } from 'node:os';
import { ConfigError, failureLine, loadConfig, parseFlags } from '@lockstep/config';
import { engineDirectory, engineEnvironment } from '@lockstep/engine';
import { TrainingWorker } from './worker.js';

function log(level: string, text: string): void {
  process.stdout.write(`${new Date().toISOString()} ${level} ${text}\n`);
}

async function main(): Promise<number> {
  const config = loadConfig({ schema: 'worker', env: process.env, ...parseFlags('worker', process.argv.slice(2)) });
  const { device, threads } = config;
  // libtensorflow reads these from the real environment when the compute thread loads it.
  Object.assign(process.env, engineEnvironment({ device, threads }));
  const worker = await TrainingWorker.start({
    id: config.name ?? `${hostname()}-${process.pid}`,
    coordinator: config.coordinator.replace(/\/+$/, ''),
    host: config.host,
    advertiseHost: config.advertiseHost ?? (config.host === '0.0.0.0' ? hostname() : config.host),
    port: config.port,
    compute: { device, threads, engineDirectory: engineDirectory(device, process.env) },
    now: () => performance.now(),
    random: Math.random,
    log,
  });
  log('info', `process ${process.pid}, coordinator ${config.coordinator}`);
  process.on('SIGTERM', () => worker.leave('SIGTERM'));
  process.on('SIGINT', () => worker.leave('SIGINT'));
  // Started by `lockstep up`, it must not outlive it.
  process.on('disconnect', () => worker.leave('its parent process is gone'));
  const ending = await worker.finished;
  log(ending.status === 0 ? 'info' : 'error', `${ending.code}: ${ending.reason}`);
  return ending.status;
}

main().then(
  // The compute thread may be in the middle of a gradient that nobody needs any more.
  (status) => process.exit(status),
  (error: unknown) => {
    log('error', failureLine(error));
    process.exit(error instanceof ConfigError ? error.exitCode : 1);
  },
);
