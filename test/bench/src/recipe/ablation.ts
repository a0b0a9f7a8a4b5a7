// Which part of the recipe the digits owe what to: one thing is changed at a time, at equal compute, and LeNet-FD tells.
//
//   npm run ablation                      all variants, one on each processor core (about 6 minutes each)
//   npm run ablation -- base 'width 16'   these
//   npm run ablation -- --report          only writes the table of what results/ablation.json holds
//
// A variant is trained by one worker on one core, and 1,000 samples of its last checkpoint are judged. What is trained and drawn is a
// function of the variant alone, so a machine's noise cannot change a figure; a variant whose result is there is not run again.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { parseEvaluation } from '@lockstep/run';
import { CLI, PICTURES } from '../places.js';
import { endText } from '../result/disturbed.js';
import { describeCommit, describeMachine } from '../result/machine.js';
import { readVariants, writeTable, writeVariants, type Judgement } from './ablation-results.js';
import { VARIANTS, type Recipe } from './variants.js';

const JUDGED = { samples: 1000, sampler: 'dpmpp2m', steps: 20, guidance: 1, seed: 0 };

const flags = (values: Recipe): string[] =>
  Object.entries(values).flatMap(([key, value]) => [`--${key}`, String(value)]);

/** Runs the command on one core; its output goes to ours only if it fails. */
function onCore(core: number, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('taskset', ['-c', String(core), process.execPath, CLI, ...args]);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.on('error', reject);
    child.on('exit', (code, signal) =>
      code === 0
        ? resolve()
        : reject(new Error(`lockstep ${args.join(' ')} ended by ${endText({ code, signal })}:\n${output}`)),
    );
  });
}

/** Trains and judges one; `judged`: how. */
async function measure(name: string, recipe: Recipe, core: number): Promise<{ judged: Recipe } & Judgement> {
  const run = mkdtempSync(join(tmpdir(), 'lockstep-ablation-'));
  const { guidance, ...plain } = JUDGED;
  const judged: Recipe = recipe['classes'] === 0 ? plain : { ...plain, guidance };
  const out = join(run, 'evaluation.json');
  mkdirSync(PICTURES, { recursive: true });
  const picture = fileURLToPath(new URL(`${name.replaceAll(/\W+/g, '-')}.png`, PICTURES));
  try {
    const training = { ...recipe, out: run, port: 0, workers: 1, 'checkpoint-every': recipe['steps'] };
    await onCore(core, ['up', ...flags(training)]);
    await onCore(core, ['eval', run, ...flags({ ...judged, workers: 1, out, picture })]);
    const evaluation = parseEvaluation(readFileSync(out, 'utf8'));
    const { frechetDistance, precision, recall, classes, noiseError, classifier } = evaluation;
    return {
      ...{ judged, frechetDistance, precision, recall, classifier },
      classes: {
        samples: { ...classes.samples },
        floor: { ...classes.floor },
        ceiling: { ...classes.ceiling },
      },
      noiseError: { heldOut: [...noiseError.heldOut], training: [...noiseError.training] },
    };
  } finally {
    rmSync(run, { recursive: true, force: true });
  }
}

/** Measures what is not known yet, one variant a core. */
async function measureAll(wanted: readonly string[]): Promise<void> {
  const known = readVariants();
  const queue = wanted.filter((name) => !(name in known));
  const commit = describeCommit() ?? 'unknown';
  const machine = describeMachine();
  const lane = async (core: number): Promise<void> => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const recipe = VARIANTS.get(name) ?? {};
      const result = { recipe: { ...recipe }, ...(await measure(name, recipe, core)), commit, machine };
      writeVariants({ ...readVariants(), [name]: result }, VARIANTS.keys());
      const { samples, floor } = result.frechetDistance;
      console.log(`${name}: LeNet-FD ${samples.toFixed(1)} (floor ${floor.toFixed(1)})`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, (_, core) => lane(core)));
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { report: { type: 'boolean', default: false } },
  });
  const unknown = positionals.filter((name) => !VARIANTS.has(name));
  if (unknown.length > 0) {
    console.error(`no variant is called ${unknown.join(', ')}; there are: ${[...VARIANTS.keys()].join(', ')}`);
    return 2;
  }
  if (!values.report) await measureAll(positionals.length > 0 ? positionals : [...VARIANTS.keys()]);
  console.log(writeTable(readVariants()));
  return 0;
}

process.exitCode = await main();
