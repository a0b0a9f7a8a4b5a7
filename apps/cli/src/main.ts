/** `lockstep up | sample | digest`: starts the parts; owns no logic of training. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { DirectoryStore, RUN_FILE_NAME, runPaths, stateDigest } from '@lockstep/checkpoint';
import { ConfigError, describeConfig, failureLine, loadConfig, type UpConfig } from '@lockstep/config';
import { sampleCommand } from '@lockstep/sampler';
import { addConfigFlags, givenFlags } from './config-flags.js';
import { CliError } from './errors.js';
import { up } from './up.js';

/** Config keys that the coordinator process takes as flags; host and port are set by `up` itself. */
const NOT_FOR_COORDINATOR = new Set(['workers', 'maxRestarts', 'host', 'port']);

async function runUp(options: Readonly<Record<string, unknown>>): Promise<number> {
  const keys = describeConfig('up');
  const file = typeof options['config'] === 'string' ? { file: options['config'] } : {};
  const config = loadConfig({ schema: 'up', env: process.env, flags: givenFlags(options, keys), ...file });
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
  return up({
    out,
    workers: config.workers,
    maxRestarts: config.maxRestarts,
    coordinatorArgs: keys.flatMap(({ key, flag }) =>
      NOT_FOR_COORDINATOR.has(key) ? [] : [`${flag}=${textOf(config, key, out)}`],
    ),
    host: config.host,
    port: config.port,
    workerArgs: [`--device=${config.device}`, `--host=${config.host}`],
    env: process.env,
    stream: process.stdout,
    now: () => performance.now(),
  });
}

function textOf(config: UpConfig, key: string, out: string): string {
  const value: unknown = key === 'out' ? out : Object.entries(config).find(([name]) => name === key)?.[1];
  return typeof value === 'string' ? value : JSON.stringify(value);
}

async function printDigest(directory: string): Promise<void> {
  const { checkpoint, skipped } = await new DirectoryStore(runPaths(directory).checkpoints).newest();
  for (const bad of skipped)
    process.stderr.write(`${bad.code}: the checkpoint of step ${bad.step} is not used: ${bad.reason}\n`);
  if (checkpoint === undefined) throw new CliError('E_NO_CHECKPOINT', `${directory} holds no whole checkpoint`);
  process.stdout.write(`${stateDigest(checkpoint.state)}\n`);
}

const program = new Command('lockstep')
  .description('Elastic data-parallel training of a diffusion model. The weights do not depend on who did the work.')
  .showHelpAfterError();

addConfigFlags(program.command('up'), 'up')
  .description('trains: a coordinator and local workers, until all steps are done; Ctrl-C leaves a checkpoint')
  .option('--resume', 'go on with the run in --out')
  .action(async (options: Record<string, unknown>) => {
    process.exitCode = await runUp(options);
  });

program.addCommand(sampleCommand('sample', availableParallelism(), process.env));

program
  .command('digest')
  .description("prints the sha256 of the run's newest state (weights, moments, EMA), 64 hex digits")
  .argument('<directory>', 'directory of the run')
  .action(printDigest);

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${failureLine(error)}
`);
  process.exitCode = error instanceof ConfigError || error instanceof CliError ? 2 : 1;
});
