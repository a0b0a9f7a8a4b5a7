/**
 * `node dist/mutate.js [SEEDS [FILE]]`: runs the schedules on every mutant (of FILE, such as decide/decisions.js, alone), prints a Markdown
 * table, fails if one survives, or if it cannot be said of one.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTATIONS, type Mutation } from './mutations.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SEEDS = Number(process.argv[2] ?? 3_000);
/**
 * A mutant may never come to an end. Milliseconds. What takes so long counts as not caught: a machine that has other things to do
 * must not pass for a simulation that finds faults.
 */
const LIMIT_MS = 3_600_000;
const COPIED = {
  base: 'libs/base',
  exact: 'libs/exact',
  comm: 'libs/comm',
  coordinator: 'apps/coordinator',
  worker: 'apps/worker',
  sim: 'test/sim',
};

/** A folder in which the simulator runs on copies of what is mutated; everything else is linked to the real one. */
function workshop(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-mutate-'));
  mkdirSync(join(folder, 'node_modules/@lockstep'), { recursive: true });
  for (const name of readdirSync(join(ROOT, 'node_modules')))
    if (name !== '@lockstep') symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name));
  for (const name of readdirSync(join(ROOT, 'node_modules/@lockstep'))) {
    const target = join(folder, 'node_modules/@lockstep', name);
    const source = Object.entries(COPIED).find(([copied]) => copied === name)?.[1];
    if (source === undefined) symlinkSync(join(ROOT, 'node_modules/@lockstep', name), target);
    else
      for (const part of ['package.json', 'dist'])
        cpSync(join(ROOT, source, part), join(target, part), { recursive: true });
  }
  return folder;
}

interface Verdict {
  /** The first whose schedule shows the mutant; null if none does, or if the schedules came to no end of their own. */
  readonly seed: number | null;
  /** How it shows, or why it does not. */
  readonly how: string;
}

function judge({ app, file, from, to }: Mutation): Verdict {
  const folder = workshop();
  try {
    const path = join(folder, 'node_modules/@lockstep', app, 'dist', file);
    const text = readFileSync(path, 'utf8');
    if (text.split(from).length !== 2) throw new Error(`${app}/${file} does not have exactly once: ${from}`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
    const main = join(folder, 'node_modules/@lockstep/sim/dist/main.js');
    const run = spawnSync(process.execPath, [main, '--first', '0', String(SEEDS)], {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    });
    if (run.status === 0) return { seed: null, how: '**survives**' };
    const match = /^(\d+): (.*)$/m.exec(run.stdout);
    if (match !== null)
      return { seed: Number(match[1]), how: (match[2] ?? '').replace(/ microbatch .*/, '').slice(0, 100) };
    const error = run.stderr.match(/^\w*Error: .*$/m)?.[0] ?? `no end in ${LIMIT_MS / 1000} s`;
    return { seed: null, how: `**no schedule ends**: ${error.slice(0, 100)}` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const only = process.argv[3];
process.stdout.write('| The mutant ... | in | caught by seed | as |\n| --- | --- | --- | --- |\n');
let caught = true;
for (const mutation of MUTATIONS.filter(({ file }) => only === undefined || file === only)) {
  const { seed, how } = judge(mutation);
  if (seed === null) caught = false;
  process.stdout.write(
    `| ${mutation.what} | ${mutation.app}/${mutation.file.replace('.js', '')} | ${seed ?? 'none'} | ${how} |\n`,
  );
}
process.exitCode = caught ? 0 : 1;
