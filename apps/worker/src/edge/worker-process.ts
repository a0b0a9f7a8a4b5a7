/** A worker as a process: config from flags and environment, signals, exit status. Importing this file does nothing. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { isLoopback, isWildcard, newLocalName } from '@lockstep/comm';
import { cacheDirectoryIn, loadConfig, namesIn, parseFlags, shownGpus, type WorkerConfig } from '@lockstep/config';
import { endByHangup, guardOutput, Log, machineNames, type StopSignal } from '@lockstep/process';
import { exitStatusOf, failureOf } from '@lockstep/base';
import { engineDirectory, engineEnvironment, graphDirectory } from '@lockstep/engine';
import { obeyOrders } from './worker-orders.js';
import { startWorker } from './start.js';
import type { Ending } from './worker.js';

/** 128 bits: nobody else ever draws the same. */
const INSTANCE_BYTES = 16;

async function train(log: Log, config: WorkerConfig, computeModule: URL | undefined): Promise<Ended> {
  const { device, threads, kernels } = config;
  // libtensorflow reads these from the real environment when the compute thread loads it.
  Object.assign(process.env, engineEnvironment({ device, threads }));
  const cache = cacheDirectoryIn(process.env);
  const module = computeModule === undefined ? {} : { module: computeModule };
  const id = config.name ?? `${hostname()}-${process.pid}`;
  const trace = config.trace === null ? null : { file: config.trace, process: id };
  const worker = await startWorker({
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
      ...(kernels === 'fastest' ? {} : { kernels }),
      engineDirectory: engineDirectory(device, cache),
      graphDirectory: graphDirectory(cache),
      trace,
      ...module,
    },
    random: Math.random,
    log: log.line,
  });
  const gpu = device === 'cuda' ? `, GPU ${shownGpus(process.env) ?? 'the last'}` : '';
  log.line('info', `process ${process.pid}, coordinator ${config.coordinator}${gpu}`);
  const leftBy = obeyOrders(worker, config.warningSignal, log.line);
  const ending = await worker.finished;
  return { ...ending, ready: worker.wasReady, leftBy: leftBy() };
}

/** How it ended, whether it had come so far that it could take part, and the signal that made it leave. */
type Ended = Ending & { readonly ready: boolean; readonly leftBy: StopSignal | null };

/** `lockstep up` shows it, and decides by it whether another try makes sense. */
async function tellParent(ended: Ended): Promise<void> {
  // A parent that is gone does not hold the end up.
  await new Promise<void>((resolve) => {
    if (process.connected && process.send !== undefined) process.send({ kind: 'ended', ...ended }, () => resolve());
    else resolve();
  });
}

async function run(computeModule: URL | undefined): Promise<number> {
  guardOutput(process);
  const logOf = (level: WorkerConfig['logLevel']): Log =>
    new Log({ stream: process.stdout, level, wallNow: () => Date.now() });
  let log = logOf('info');
  let ended: Ended;
  try {
    const config = loadConfig({ schema: 'worker', env: process.env, ...parseFlags('worker', process.argv.slice(2)) });
    log = logOf(config.logLevel);
    ended = await train(log, config, computeModule);
  } catch (error) {
    const { code, message: reason } = failureOf(error);
    ended = { status: exitStatusOf(code, 'worker'), code, reason, ready: false, leftBy: null };
  }
  log.line(ended.status === 0 ? 'info' : 'error', `${ended.code}: ${ended.reason}`);
  await tellParent(ended);
  await log.end();
  if (ended.leftBy === 'SIGHUP') endByHangup();
  return ended.status;
}

/**
 * Runs a worker until it ends, then ends the process with the worker's status.
 *
 * @param computeModule runs in the compute thread instead of the production module (compute.ts, ComputeSetup)
 */
export function runWorkerProcess(computeModule?: URL): void {
  // The compute thread may be in the middle of a gradient that nobody needs any more.
  void run(computeModule).then((status) => process.exit(status));
}
