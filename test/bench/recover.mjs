// Seconds from kill -9 of one of two workers to the next committed step, against the step's own time in the same run.
//
//   node test/bench/recover.mjs [--kills N] [--preset default|tiny]
//
// One run: each killed worker is started again and joins before the next kill. Times come from the coordinator's log.
// Prints one JSON object with every figure's min and median.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Disturbed } from './disturbed.mjs';
import { print } from './result.mjs';
import { summary } from './summary.mjs';

const CLI = fileURLToPath(new URL('../../apps/cli/dist/main.js', import.meta.url));
/** Quiet steps before each kill, so that the step's own time is known. */
const QUIET_STEPS = 4;

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '5' }, preset: { type: 'string', default: 'default' } },
});
const kills = Number(values.kills);
const out = mkdtempSync(join(tmpdir(), 'lockstep-recover-'));
const args = ['up', '--preset', values.preset, '--steps', '100000', '--workers', '2', '--port', '0', '--out', out];
const run = spawn(process.execPath, [CLI, ...args, '--max-restarts', '1000', '--log-level', 'debug'], {
  stdio: 'ignore',
});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const log = (part) => {
  try {
    return readFileSync(join(out, 'logs', `${part}.log`), 'utf8');
  } catch {
    return '';
  }
};
/** Times (ms) of all commits so far. */
const commits = () =>
  [...log('coordinator').matchAll(/^(\S+) debug note=committed/gm)].map(([, time]) => Date.parse(time));
const fullRings = () => [...log('coordinator').matchAll(/note=generation-opened .*ring=\["[^"]+","[^"]+"\]/g)].length;

async function until(condition) {
  while (!condition()) {
    if (run.exitCode !== null) throw new Error(`the run ended; see ${out}`);
    await pause(20);
  }
}

const recovery = [];
const steps = [];
for (let kill = 0; kill < kills; kill++) {
  await until(() => fullRings() > kill);
  const before = commits().length;
  await until(() => commits().length >= before + QUIET_STEPS);
  const quiet = commits().slice(-3);
  steps.push((quiet[2] - quiet[0]) / 2000);
  // Somewhere within a step.
  await pause(Math.random() * 1000 * steps.at(-1));
  const pid = Number([...log('worker-1').matchAll(/process (\d+)/g)].at(-1)[1]);
  const killed = Date.now();
  process.kill(pid, 'SIGKILL');
  await until(() => commits().some((time) => time > killed));
  recovery.push((commits().find((time) => time > killed) - killed) / 1000);
}
const lost = [...log('coordinator').matchAll(/note=worker-lost worker=(\S+)/g)].map(([, worker]) => worker);
run.kill('SIGINT');
await new Promise((resolve) => run.on('exit', resolve));
rmSync(out, { recursive: true, force: true });
if (lost.length !== kills || lost.some((worker) => worker !== 'worker-1'))
  throw new Disturbed(`thrown away: worker-1 was killed ${kills} times, and lost were ${lost.join(', ')}`);
print({ bench: 'recover', preset: values.preset, killToCommit_s: summary(recovery), quietStepOfTwo_s: summary(steps) });
