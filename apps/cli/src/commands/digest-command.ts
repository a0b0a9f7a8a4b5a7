/** `lockstep digest`: one line that two runs can be compared by. */
import { Command } from 'commander';
import { DirectoryStore, runPaths } from '@lockstep/run';
import { CliError } from '../errors.js';

export function digestCommand(): Command {
  return new Command('digest')
    .description("prints the sha256 of the run's newest state (weights, moments, EMA), 64 hex digits")
    .argument('<directory>', 'directory of the run')
    .action(printDigest);
}

async function printDigest(directory: string): Promise<void> {
  const { checkpoint, skipped } = await new DirectoryStore(runPaths(directory).checkpoints).newest();
  for (const bad of skipped)
    process.stderr.write(`${bad.code}: the checkpoint of step ${bad.step} is not used: ${bad.reason}\n`);
  if (checkpoint === undefined) throw new CliError('E_NO_CHECKPOINT', `${directory} holds no whole checkpoint`);
  process.stdout.write(`${checkpoint.manifest.stateDigest}\n`);
}
