// Which part of the recipe the digits owe what to: one thing is changed at a time, at equal compute, and LeNet-FD tells.
//
//   npm run ablation                      all variants, one on each processor core (about 6 minutes each)
//   npm run ablation -- base 'width 16'   these
//   npm run ablation -- --report          only writes the table of what results/ablation.json holds
//
// A variant is trained by one worker on one core, and 1,000 samples of its last checkpoint are judged. What is trained and drawn is a
// function of the variant alone, so a machine's noise cannot change a figure; a variant whose result is there is not run again.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeMachine, processorText } from './machine.mjs';

const CLI = fileURLToPath(new URL('../../apps/cli/dist/main.js', import.meta.url));
const RESULTS = fileURLToPath(new URL('results/ablation.json', import.meta.url));
const TABLE = fileURLToPath(new URL('results/ablation.md', import.meta.url));
/** To be looked at; not kept with the results. */
const PICTURES = fileURLToPath(new URL('../../runs/ablation', import.meta.url));

/** Every key that a variant changes, so that the table stays what it is when presets change. */
const BASE = {
  preset: 'default',
  classes: 10,
  steps: 1000,
  'global-batch': 32,
  'base-width': 32,
  prediction: 'v',
  schedule: 'cosine',
  'loss-weighting': 'none',
  timesteps: 'stratified',
  'learning-rate': 1e-3,
  'warmup-steps': 100,
  'ema-decay': 0.9995,
};
const JUDGED = { samples: 1000, sampler: 'dpmpp2m', steps: 20, guidance: 1, seed: 0 };
/** Images that the base trains on in the time of one of the variant's: measured once, 60 steps on one core. */
const SPEED = { 16: 2.4, 24: 1.7, 48: 0.56 };

const VARIANTS = {
  base: {},
  'base, other seed': { seed: 1 },
  'predicts eps': { prediction: 'eps' },
  'linear schedule': { schedule: 'linear' },
  'min-SNR weighting': { 'loss-weighting': 'min-snr' },
  'timesteps not stratified': { timesteps: 'uniform' },
  'no EMA': { 'ema-decay': 0 },
  'learning rate 5e-4': { 'learning-rate': 5e-4 },
  'learning rate 2e-3': { 'learning-rate': 2e-3 },
  'no warm-up': { 'warmup-steps': 0 },
  'width 16': { 'base-width': 16, steps: Math.round(1000 * SPEED[16]) },
  'width 24': { 'base-width': 24, steps: Math.round(1000 * SPEED[24]) },
  'width 48': { 'base-width': 48, steps: Math.round(1000 * SPEED[48]) },
  'batch 16': { 'global-batch': 16, steps: 2000 },
  'width 16, batch 16': { 'base-width': 16, 'global-batch': 16, steps: Math.round(2000 * SPEED[16]) },
  'no classes': { classes: 0 },
  'no classes, predicts eps': { classes: 0, prediction: 'eps' },
};

const flags = (values) => Object.entries(values).flatMap(([key, value]) => [`--${key}`, String(value)]);
const stored = () => (existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, 'utf8')) : { variants: {} });

/** Runs the command on one core; its output goes to ours only if it fails. */
function onCore(core, args) {
  return new Promise((resolve, reject) => {
    const child = spawn('taskset', ['-c', String(core), process.execPath, CLI, ...args]);
    const parts = [];
    child.stdout.on('data', (part) => parts.push(part));
    child.stderr.on('data', (part) => parts.push(part));
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      code === 0
        ? resolve()
        : reject(new Error(`lockstep ${args.join(' ')} ended by ${signal ?? `status ${code}`}:\n${parts.join('')}`)),
    );
  });
}

async function measure(name, core) {
  const run = mkdtempSync(join(tmpdir(), 'lockstep-ablation-'));
  const recipe = { ...BASE, ...VARIANTS[name] };
  const { guidance, ...plain } = JUDGED;
  const judged = recipe.classes === 0 ? plain : { ...plain, guidance };
  const out = join(run, 'evaluation.json');
  mkdirSync(PICTURES, { recursive: true });
  const picture = join(PICTURES, `${name.replaceAll(/\W+/g, '-')}.png`);
  try {
    const training = { ...recipe, out: run, port: 0, workers: 1, 'checkpoint-every': recipe.steps };
    await onCore(core, ['up', ...flags(training)]);
    await onCore(core, ['eval', run, ...flags({ ...judged, workers: 1, out, picture })]);
    const { frechetDistance, precision, recall, classes, noiseError, classifier } = JSON.parse(
      readFileSync(out, 'utf8'),
    );
    return { recipe, judged, frechetDistance, precision, recall, classes, noiseError, classifier };
  } finally {
    rmSync(run, { recursive: true, force: true });
  }
}

const share = (value) => `${(100 * value).toFixed(0)} %`;

function report({ variants }) {
  const rows = Object.entries(variants).map(
    ([name, { recipe, frechetDistance, precision, recall, classes, noiseError }]) => {
      const errors = noiseError.heldOut.map((value) => value.toFixed(3)).join(' / ');
      return [
        name,
        recipe.steps,
        frechetDistance.samples.toFixed(1),
        share(precision.samples),
        share(recall.samples),
        share(classes.samples.largestDeviation),
        errors,
      ];
    },
  );
  const [{ frechetDistance, precision, recall, classes }] = Object.values(variants);
  const header = ['variant', 'steps', 'LeNet-FD', 'precision', 'recall', 'classes', 'noise error by quarter of t'];
  const floor = `Floor of ${JUDGED.samples} test images: LeNet-FD ${frechetDistance.floor.toFixed(1)}, precision ${share(precision.floor)}, recall ${share(recall.floor)}, classes ${share(classes.floor.largestDeviation)}. Ceiling (noise): LeNet-FD ${frechetDistance.ceiling.toFixed(0)}.`;
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const processors = [...new Set(Object.values(variants).map(({ machine }) => processorText(machine)))];
  const where = `Measured on ${processors.join('; ')}: the last bits, and so the figures, depend on it.`;
  return `${[where, '', line(header), line(header.map(() => '---')), ...rows.map(line), '', floor].join('\n')}\n`;
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => name !== '--report' && !(name in VARIANTS));
if (unknown.length > 0) {
  console.error(`no variant is called ${unknown.join(', ')}; there are: ${Object.keys(VARIANTS).join(', ')}`);
  process.exit(2);
}
if (!asked.includes('--report')) {
  const wanted = asked.length > 0 ? asked : Object.keys(VARIANTS);
  const queue = wanted.filter((name) => !(name in stored().variants));
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  const machine = describeMachine();
  const lane = async (core) => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const result = { ...(await measure(name, core)), commit, machine };
      const known = { ...stored().variants, [name]: result };
      const inOrder = Object.keys(VARIANTS).flatMap((key) => (key in known ? [[key, known[key]]] : []));
      writeFileSync(RESULTS, `${JSON.stringify({ variants: Object.fromEntries(inOrder) }, null, 2)}\n`);
      console.log(
        `${name}: LeNet-FD ${result.frechetDistance.samples.toFixed(1)} (floor ${result.frechetDistance.floor.toFixed(1)})`,
      );
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, (_, core) => lane(core)));
}
writeFileSync(TABLE, report(stored()));
console.log(readFileSync(TABLE, 'utf8'));
