/** `lockstep up`: config from flags, environment and file; then the processes of up.ts. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { openOutput, RUN_FILE_NAME } from '@lockstep/run';
import { contradiction, describeConfig, loadGiven, localGpus, workerPlaces, type UpConfig } from '@lockstep/config';
import { failureOf } from '@lockstep/base';
import { askedRun } from '@lockstep/coordinator';
import { addConfigFlags, givenFlags } from './config-flags.js';
import { CliError } from '../errors.js';
import { describeWorkers, localWorkers } from '../up/local-workers.js';
import { up } from '../up/up.js';

/** Config keys that the coordinator process takes as flags; host, port and trace are set by `up` itself. */
const NOT_FOR_COORDINATOR = new Set(['workers', 'threads', 'maxRestarts', 'host', 'port', 'trace']);

/** Not wrapped into a column as the flags' texts are: who looks for the timeouts should find one line. */
const ONE_TIMEOUT = 'One timeout: a peer silent for --heartbeat-timeout-ms is lost; all other waits derive from it.';

export function upCommand(env: NodeJS.ProcessEnv): Command {
  return addConfigFlags(new Command('up'), 'up')
    .description('trains: a coordinator and local workers, until all steps are done; Ctrl-C leaves a checkpoint')
    .option('--resume', 'go on with the run in --out')
    .addHelpText('after', `\n${ONE_TIMEOUT}`)
    .action(async (options: Record<string, unknown>) => {
      process.exitCode = await runUp(options, env);
    });
}

async function runUp(options: Readonly<Record<string, unknown>>, env: NodeJS.ProcessEnv): Promise<number> {
  const keys = describeConfig('up');
  const file = typeof options['config'] === 'string' ? { file: options['config'] } : {};
  const { config, given } = loadGiven({ schema: 'up', env, flags: givenFlags(options, keys), ...file });
  const out = resolve(config.out);
  const exists = existsSync(join(out, RUN_FILE_NAME));
  if (exists && options['resume'] !== true) {
    throw new CliError(
      'E_RUN_EXISTS',
      `${out} already holds a run; go on with it by --resume, or choose another --out`,
    );
  }
  if (!exists && options['resume'] === true)
    throw new CliError('E_NOTHING_TO_RESUME', `${out} holds no run; leave --resume out to start one`);
  if (exists && config.from !== null)
    throw contradiction('a run that is resumed has its start behind it', [
      { key: 'from', value: config.from, source: given.get('from')?.source ?? 'the default' },
      { key: 'resume', value: true, source: 'flag --resume' },
    ]);
  // What can be refused before a process is started is refused here, not in a log.
  const { task } = await askedRun({ ...config, out }, given);
  const gpus = config.device === 'cuda' ? localGpus(env) : null;
  const choice = {
    workers: config.workers,
    threads: config.threads,
    minWorkers: config.minWorkers,
    microbatches: task.globalBatch / task.microbatchSize,
    processors: availableParallelism(),
    gpus: gpus === null ? null : gpus.length,
  };
  const local = localWorkers(choice);
  const about = describeWorkers(choice, local);
  return up({
    out,
    places: workerPlaces(config.device, local.workers, gpus ?? []),
    about: about === null ? [] : [about],
    maxRestarts: config.maxRestarts,
    warningSignal: config.warningSignal,
    coordinatorArgs: keys.flatMap(({ key, flag }) =>
      // What was not given, a run that is there already decides.
      key === 'out' || (!NOT_FOR_COORDINATOR.has(key) && given.has(key)) ? [`${flag}=${textOf(config, key, out)}`] : [],
    ),
    host: config.host,
    port: config.port,
    otherPort: !given.has('port'),
    trace: config.trace === null ? null : traceFile(resolve(config.trace)),
    workerArgs: [
      `--device=${config.device}`,
      `--threads=${local.threads}`,
      `--host=${config.host}`,
      // LOCKSTEP_PORT, which a worker would read too, is the coordinator's.
      '--port=0',
      `--log-level=${config.logLevel}`,
      `--allowed-hosts=${config.allowedHosts ?? 'null'}`,
    ],
    env,
    stream: process.stdout,
    monotonicNow: () => performance.now(),
  });
}

/** A run of hours must not end with a timeline that cannot be written. */
function traceFile(path: string): string {
  try {
    openOutput(path);
  } catch (error) {
    throw new CliError('E_TRACE_FILE', failureOf(error).message, { cause: error });
  }
  return path;
}

function textOf(config: UpConfig, key: string, out: string): string {
  const value: unknown = key === 'out' ? out : Object.entries(config).find(([name]) => name === key)?.[1];
  return typeof value === 'string' ? value : JSON.stringify(value);
}
