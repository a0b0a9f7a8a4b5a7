/** A worker as a process: config from flags and environment, signals, exit status. Importing this file does nothing. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { isLoopback, isWildcard, newLocalName } from '@lockstep/comm';
import { ConfigError, failureLine, loadConfig, machineNames, namesIn, parseFlags } from '@lockstep/config';
import { engineDirectory, engineEnvironment, graphDirectory } from '@lockstep/engine';
import { TrainingWorker } from './worker.js';

/** 128 bits: nobody else ever draws the same. */
const INSTANCE_BYTES = 16;

function log(level: string, text: string): void {
  process.stdout.write(`${new Date().toISOString()} ${level} ${text}\n`);
}

async function run(computeModule: URL | undefined): Promise<number> {
  const config = loadConfig({ schema: 'worker', env: process.env, ...parseFlags('worker', process.argv.slice(2)) });
  const { device, threads } = config;
  // libtensorflow reads these from the real environment when the compute thread loads it.
  Object.assign(process.env, engineEnvironment({ device, threads }));
  const module = computeModule === undefined ? {} : { module: computeModule };
  const id = config.name ?? `${hostname()}-${process.pid}`;
  const trace = config.trace === null ? null : { file: config.trace, process: id };
  const worker = await TrainingWorker.start({
    id,
    instance: randomBytes(INSTANCE_BYTES).toString('hex'),
    coordinator: config.coordinator.replace(/\/+$/, ''),
    host: config.host,
    advertiseHost: config.advertiseHost ?? (isWildcard(config.host) ? hostname() : config.host),
    port: config.port,
    names: [...(isLoopback(config.host) ? [] : machineNames()), ...namesIn(config.allowedHosts)],
    // Who says where to be dialled wants the traffic there, whatever stands in between.
    localName: config.advertiseHost === null ? newLocalName() : null,
    compute: {
      device,
      threads,
      engineDirectory: engineDirectory(device, process.env),
      graphDirectory: graphDirectory(process.env),
      trace,
      ...module,
    },
    monotonicNow: () => performance.now(),
    random: Math.random,
    log,
  });
  const gpu = device === 'cuda' ? `, GPU ${process.env['CUDA_VISIBLE_DEVICES'] ?? 'the last'}` : '';
  log('info', `process ${process.pid}, coordinator ${config.coordinator}${gpu}`);
  process.on('SIGTERM', () => worker.leave('SIGTERM'));
  process.on('SIGINT', () => worker.leave('SIGINT'));
  // Started by `lockstep up`, it must not outlive it.
  process.on('disconnect', () => worker.leave('its parent process is gone'));
  const ending = await worker.finished;
  log(ending.status === 0 ? 'info' : 'error', `${ending.code}: ${ending.reason}`);
  return ending.status;
}

/**
 * Runs a worker until it ends, then ends the process with the worker's status.
 *
 * @param computeModule runs in the compute thread instead of the production module (compute.ts, ComputeSetup)
 */
export function runWorkerProcess(computeModule?: URL): void {
  run(computeModule).then(
    // The compute thread may be in the middle of a gradient that nobody needs any more.
    (status) => process.exit(status),
    (error: unknown) => {
      log('error', failureLine(error));
      process.exit(error instanceof ConfigError ? error.exitCode : 1);
    },
  );
}
