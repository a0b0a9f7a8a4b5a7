// Seconds from kill -9 of one of two workers to the next committed step, against the step's own time in the same run.
//
//   node test/bench/dist/train/recover.js [--kills N] [--preset default|tiny]
//
// One run: each killed worker is started again and joins before the next kill. Times come from the coordinator's log.
// Prints one JSON object with every figure's min and median.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CLI } from '../places.js';
import { Disturbed } from '../result/disturbed.js';
import { print } from '../result/result.js';
import { summary } from '../result/summary.js';

/** Quiet steps before each kill, so that the step's own time is known. */
const QUIET_STEPS = 4;
/** How often the log is looked at, ms. */
const LOOK_MS = 20;

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '5' }, preset: { type: 'string', default: 'default' } },
});
const kills = Number(values.kills);
const out = mkdtempSync(join(tmpdir(), 'lockstep-recover-'));
const args = ['up', '--preset', values.preset, '--steps', '100000', '--workers', '2', '--port', '0', '--out', out];
const run = spawn(process.execPath, [CLI, ...args, '--max-restarts', '1000', '--log-level', 'debug'], {
  stdio: 'ignore',
});

function log(part: 'coordinator' | 'worker-1'): string {
  try {
    return readFileSync(join(out, 'logs', `${part}.log`), 'utf8');
  } catch {
    return '';
  }
}
/** Times (ms) of all commits so far. */
const commits = (): number[] =>
  [...log('coordinator').matchAll(/^(\S+) debug note=committed/gm)].map(([, time]) => Date.parse(time));
const fullRings = (): number =>
  [...log('coordinator').matchAll(/note=generation-opened .*ring=\["[^"]+","[^"]+"\]/g)].length;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    if (run.exitCode !== null) throw new Error(`the run ended; see ${out}`);
    await pause(LOOK_MS);
  }
}

/** Seconds of a quiet step, and from the kill to the next commit. */
async function killOnce(kill: number): Promise<{ quiet: number; recovery: number }> {
  await until(() => fullRings() > kill);
  const before = commits().length;
  await until(() => commits().length >= before + QUIET_STEPS);
  const last = commits().slice(-3);
  const quiet = (last[2] - last[0]) / 2000;
  // Somewhere within a step.
  await pause(Math.random() * 1000 * quiet);
  const pid = Number([...log('worker-1').matchAll(/process (\d+)/g)].at(-1)?.[1]);
  const killed = Date.now();
  process.kill(pid, 'SIGKILL');
  const next = (): number | undefined => commits().find((time) => time > killed);
  await until(() => next() !== undefined);
  return { quiet, recovery: ((next() ?? NaN) - killed) / 1000 };
}

const found: { quiet: number; recovery: number }[] = [];
for (let kill = 0; kill < kills; kill++) found.push(await killOnce(kill));
const lost = [...log('coordinator').matchAll(/note=worker-lost worker=(\S+)/g)].map(([, worker]) => worker);
run.kill('SIGINT');
await new Promise((resolve) => run.on('exit', resolve));
rmSync(out, { recursive: true, force: true });
if (lost.length !== kills || lost.some((worker) => worker !== 'worker-1'))
  throw new Disturbed(`thrown away: worker-1 was killed ${kills} times, and lost were ${lost.join(', ')}`);
print({
  bench: 'recover',
  preset: values.preset,
  killToCommit_s: summary(found.map(({ recovery }) => recovery)),
  quietStepOfTwo_s: summary(found.map(({ quiet }) => quiet)),
});
