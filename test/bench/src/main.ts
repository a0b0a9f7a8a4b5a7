/**
 * All benchmarks, or some, one after another; their results go to results/latest.json (merged: other parts keep theirs, each with its
 * own date and commit), results/latest.md, and the plots in docs/results/.
 *
 *   npm run bench [-- [step] [train] [ring] [sample] [scale] [--quick]]
 *   npm run bench -- --report        writes the table and the plots anew from latest.json, measures nothing
 *
 * Exit status 1 if a part failed (its former result stays), 0 else, whether goals are met or not.
 */
import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { peerEnvironment, peerPython, versionsOf } from './peers/peers.js';
import { benchProgram } from './places.js';
import { publish, readLatest, type Part } from './report/latest.js';
import { markdown } from './report/table.js';
import { Disturbed, DISTURBED_STATUS, endText, undisturbed } from './result/disturbed.js';
import { describeCommit, describeMachine } from './result/machine.js';
import { checkResult, type Result } from './result/result.js';

/** A script, with its flags. */
type Script = readonly [string, ...string[]];

/** A part's scripts; the rows of several are put together. `--quick` is handed on to each. */
const PARTS = new Map<string, readonly Script[]>([
  ['step', [['step/step.js']]],
  ['train', [['train/train.js']]],
  ['ring', [['ring/ring.js'], ['ring/ring.js', '--memory']]],
  ['sample', [['sample/sample.js']]],
  ['scale', [['scale/workers.js'], ['scale/network.js'], ['scale/coordinator.js']]],
]);
/** A script says so when this machine cannot do it (no root, one core). */
const NOT_HERE = 2;
/** Longest time of a script, s: a hung peer must not hold up the others for ever. */
const LONGEST = 900;

interface Options {
  readonly quick: boolean;
  /** Undefined: there are no peers. */
  readonly python: string | undefined;
}

/** Runs a script with its messages shown. Resolves to its result, or null where it said that it cannot run here. */
function runScript([name, ...flags]: Script, { quick, python }: Options): Promise<Result | null> {
  return new Promise((resolve, reject) => {
    const args = [benchProgram(name), ...flags, ...(quick ? ['--quick'] : [])];
    const env = { ...peerEnvironment(), ...(python === undefined ? {} : { LOCKSTEP_BENCH_PYTHON: python }) };
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'], timeout: LONGEST * 1000 });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      const end = endText({ code, signal });
      if (code === NOT_HERE) resolve(null);
      else if (code === DISTURBED_STATUS || signal !== null)
        reject(new Disturbed(`${name} was disturbed (${end}); its errors are above`));
      else if (code !== 0) reject(new Error(`${name} ended with ${end}; its errors are above`));
      else resolve(resultIn(output));
    });
  });
}

/** @throws Error if what a script printed is no result */
function resultIn(output: string): Result {
  return checkResult(JSON.parse(output));
}

/** What stands in no table. */
function detailsOf(result: Result): Record<string, unknown> {
  const inTable = new Set(['bench', 'rows', 'notes', 'machine']);
  return Object.fromEntries(Object.entries(result).filter(([key]) => !inTable.has(key)));
}

async function runPart(part: string, scripts: readonly Script[], options: Options): Promise<Part> {
  const started = performance.now();
  const found: Result[] = [];
  for (const script of scripts) {
    const result = await undisturbed(() => runScript(script, options));
    if (result !== null) found.push(result);
  }
  if (found.length === 0) throw new Error(`nothing of ${part} can be measured on this machine`);
  return {
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine: describeMachine(),
    seconds: Math.round((performance.now() - started) / 1000),
    quick: options.quick,
    rows: found.flatMap(({ rows }) => rows),
    notes: found.flatMap(({ notes = [] }) => notes),
    details: Object.fromEntries(found.map((result) => [result.bench, detailsOf(result)])),
  };
}

/** Says which peers there are. */
function announcePeers(python: string | undefined): void {
  const versions = python === undefined ? null : versionsOf(python);
  console.error(
    versions === null
      ? 'peers: none, so no ratios; npm run bench:peers installs them'
      : `peers: torch ${versions['torch']}, numpy ${versions['numpy']}`,
  );
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, report: { type: 'boolean', default: false } },
  });
  const unknown = positionals.filter((name) => !PARTS.has(name));
  if (unknown.length > 0) {
    console.error(`no such part: ${unknown.join(', ')}; there are ${[...PARTS.keys()].join(', ')}`);
    return 1;
  }
  const wanted = values.report
    ? []
    : [...PARTS].filter(([name]) => positionals.length === 0 || positionals.includes(name));
  const python = peerPython();
  if (wanted.length > 0) announcePeers(python);
  let status = 0;
  for (const [part, scripts] of wanted) {
    console.error(`${part}: started`);
    try {
      const result = await runPart(part, scripts, { quick: values.quick, python });
      publish({ parts: { ...readLatest().parts, [part]: result } });
      console.error(`${part}: done in ${result.seconds} s`);
    } catch (error) {
      console.error(`${part}: not measured, what is known of it stays: ${String(error)}`);
      status = 1;
    }
  }
  const latest = readLatest();
  publish(latest);
  console.log(markdown(latest));
  return status;
}

process.exitCode = await main();
