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

let interrupted = false;

/**
 * Runs a `lockstep` command on our stdio and passes on what we are sent, also if it is npm that is ended. A terminal sends its signals
 * to the child too, which knows copies (libs/process, stop-signals.ts) and decides what each means. Resolves to its exit code.
 * @param {readonly string[]} args
 * @returns {Promise<number>}
 */
async function lockstep(args) {
  // Not before the set-up has built it.
  const { onStopSignals, watchLaunchers } = await import('../libs/process/dist/index.js');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd: ROOT, stdio: 'inherit' });
    let hungUp = false;
    const passOn = (/** @type {NodeJS.Signals} */ signal) => {
      // What else there is may mean to go on.
      if (signal === 'SIGINT' || signal === 'SIGTERM') interrupted = true;
      if (signal === 'SIGHUP') hungUp = true;
      child.kill(signal);
    };
    const leaveSignals = onStopSignals(passOn);
    const leaveLaunchers = watchLaunchers(
      () => passOn('SIGTERM'),
      () => hungUp,
    );
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      leaveLaunchers();
      leaveSignals();
      resolve(code ?? exitCodeOf(signal));
    });
  });
}

/**
 * The last value of `--name VALUE` or `--name=VALUE`, as commander reads it; undefined where there is none.
 * @param {readonly string[]} args
 * @param {string} name
 */
function option(args, name) {
  /** @type {string | undefined} */
  let found;
  for (const [index, arg] of args.entries()) {
    if (arg === `--${name}`) found = args[index + 1] ?? found;
    else if (arg.startsWith(`--${name}=`)) found = arg.slice(name.length + 3);
  }
  return found;
}

const args = process.argv.slice(2);
const out = option(args, 'out') ?? join('runs', 'default');
const defaults = option(args, 'out') === undefined ? ['--out', out] : [];
if (option(args, 'workers') === undefined) defaults.push('--workers', '2');

await setupOrExit();
process.exitCode = await lockstep(['up', ...defaults, ...args]);
const asksForHelp = args.some((arg) => arg === '--help' || arg === '-h');
if (process.exitCode === 0 && !interrupted && !asksForHelp) {
  process.exitCode = await lockstep(['sample', out, '--grid', GRID, '--out', PICTURE]);
}
