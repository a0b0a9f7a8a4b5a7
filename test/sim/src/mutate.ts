/**
 * `node dist/mutate.js [SEEDS [FILE]]`: runs the schedules on every mutant (of FILE, such as decide/decisions.js, alone), prints a Markdown
 * table, fails if one survives.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTATIONS, type Mutation } from './mutations.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SEEDS = Number(process.argv[2] ?? 3_000);
/** A mutant may never come to an end. Milliseconds. */
const LIMIT_MS = 600_000;
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

/** The first seed whose schedule shows the mutant, and how; null if none does. */
function caught({ app, file, from, to }: Mutation): { seed: number; how: string } | null {
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
    if (run.status === 0) return null;
    const match = /^(\d+): (.*)$/m.exec(run.stdout);
    return match === null
      ? { seed: 0, how: (run.stderr.match(/^\w*Error: .*$/m)?.[0] ?? `no end in ${LIMIT_MS / 1000} s`).slice(0, 100) }
      : { seed: Number(match[1]), how: (match[2] ?? '').replace(/ microbatch .*/, '').slice(0, 100) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const only = process.argv[3];
const rows = MUTATIONS.filter(({ file }) => only === undefined || file === only).map((mutation) => ({
  mutation,
  result: caught(mutation),
}));
process.stdout.write('| The mutant ... | in | caught by seed | as |\n| --- | --- | --- | --- |\n');
for (const { mutation, result } of rows)
  process.stdout.write(
    `| ${mutation.what} | ${mutation.app}/${mutation.file.replace('.js', '')} | ${result?.seed ?? 'none'} | ${result?.how ?? '**survives**'} |\n`,
  );
process.exitCode = rows.every(({ result }) => result !== null) ? 0 : 1;
