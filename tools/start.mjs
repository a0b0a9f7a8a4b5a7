/**
 * `npm start`: sets up what is missing, trains with two local workers, and draws a picture from the newest checkpoint.
 * Arguments go to `lockstep up`:  npm start -- --resume,  npm start -- --steps 200 --out runs/short
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT, exitCodeOf, setupOrExit } from './setup.mjs';

const CLI = join(ROOT, 'apps', 'cli', 'bin', 'lockstep.mjs');
const PICTURE = 'samples.png';
/** Classes come in turn, so each of the ten digits has a column. */
const GRID = '8x10';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
/** npm hands on a signal that the terminal has sent us already; the copy comes within milliseconds. A person's second Ctrl-C does not. */
const COPY_MS = 300;

let interrupted = false;

/**
 * Runs a `lockstep` command on our stdio. The child leads a process group of its own, so that a terminal's Ctrl-C comes to
 * us alone and we pass it on: it gets each signal once, whoever sent it. Resolves to its exit code.
 */
function lockstep(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd: ROOT, stdio: 'inherit', detached: true });
    let last = -COPY_MS;
    const passOn = (signal) => {
      interrupted = true;
      const now = performance.now();
      if (now - last >= COPY_MS) child.kill(signal);
      last = now;
    };
    for (const signal of SIGNALS) process.on(signal, passOn);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const name of SIGNALS) process.off(name, passOn);
      resolve(code ?? exitCodeOf(signal));
    });
  });
}

/** The last value of `--name VALUE` or `--name=VALUE`, as commander reads it. */
function option(args, name) {
  return args.reduce((found, arg, index) => {
    if (arg === `--${name}`) return args[index + 1] ?? found;
    return arg.startsWith(`--${name}=`) ? arg.slice(name.length + 3) : found;
  }, undefined);
}

const args = process.argv.slice(2);
const out = option(args, 'out') ?? join('runs', 'default');
const defaults = option(args, 'out') === undefined ? ['--out', out] : [];
if (option(args, 'workers') === undefined) defaults.push('--workers', '2');

await setupOrExit();
process.exitCode = await lockstep('up', ...defaults, ...args);
const asksForHelp = args.some((arg) => arg === '--help' || arg === '-h');
if (process.exitCode === 0 && !interrupted && !asksForHelp) {
  process.exitCode = await lockstep('sample', out, '--grid', GRID, '--out', PICTURE);
}
