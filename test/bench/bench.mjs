/**
 * All benchmarks, or some, one after another; their results go to results/latest.json (merged: other parts keep theirs, each with its
 * own date and commit), results/latest.md, and the plots in docs/.
 *
 *   npm run bench [-- [step] [train] [ring] [sample] [scale] [--quick]]
 *   npm run bench -- --report        writes the table and the plots anew from latest.json, measures nothing
 *
 * Exit status 1 if a part failed (its former result stays), 0 else, whether goals are met or not.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { adapt } from './adapters.mjs';
import { Disturbed, DISTURBED_STATUS, undisturbed } from './disturbed.mjs';
import { describeCommit, describeMachine } from './machine.mjs';
import { peerEnvironment, peerPython, versionsOf } from './peers.mjs';
import { drawPlots } from './plots.mjs';
import { markdown } from './report.mjs';

/** A part's scripts and their flags; the rows of several are put together. `--quick` is handed on to each. */
const PARTS = {
  step: [['step.mjs']],
  train: [['train.mjs']],
  ring: [['ring.mjs'], ['ring.mjs', '--memory']],
  sample: [['sample.mjs']],
  scale: [['scale-workers.mjs'], ['scale-network.mjs'], ['scale-coordinator.mjs']],
};
/** A script says so when this machine cannot do it (no root, one core). */
const NOT_HERE = 2;
/** Longest time of a script, s: a hung peer must not hold up the others for ever. */
const LONGEST = 900;
const RESULTS = new URL('results/', import.meta.url);
const LATEST = new URL('latest.json', RESULTS);

/** Runs a script with its messages shown. Resolves to what it printed, parsed, or null where it said that it cannot run here. */
function runScript([name, ...flags], { quick, python }) {
  return new Promise((resolve, reject) => {
    const args = [fileURLToPath(new URL(name, import.meta.url)), ...flags, ...(quick ? ['--quick'] : [])];
    const env = { ...peerEnvironment(), ...(python === undefined ? {} : { LOCKSTEP_BENCH_PYTHON: python }) };
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'], timeout: LONGEST * 1000 });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => (output += chunk));
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === NOT_HERE) resolve(null);
      else if (code === DISTURBED_STATUS || signal !== null)
        reject(new Disturbed(`${name} was disturbed (${signal ?? `status ${code}`}); its errors are above`));
      else if (code !== 0) reject(new Error(`${name} ended with status ${code}; its errors are above`));
      else resolve(JSON.parse(output));
    });
  });
}

/** What stands in no table. */
function detailsOf(result) {
  const details = { ...result };
  for (const key of ['bench', 'rows', 'notes', 'machine']) delete details[key];
  return details;
}

async function runPart(part, options) {
  const started = performance.now();
  const found = [];
  for (const script of PARTS[part]) {
    const printed = await undisturbed(() => runScript(script, options));
    if (printed !== null) found.push(adapt(printed));
  }
  if (found.length === 0) throw new Error(`nothing of ${part} can be measured on this machine`);
  const details = Object.fromEntries(found.map((result) => [result.bench, detailsOf(result)]));
  return {
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine: describeMachine(),
    seconds: Math.round((performance.now() - started) / 1000),
    quick: options.quick,
    rows: found.flatMap(({ rows }) => rows),
    notes: found.flatMap(({ notes = [] }) => notes),
    details,
  };
}

function readLatest() {
  try {
    return JSON.parse(readFileSync(LATEST, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return { parts: {} };
    throw error;
  }
}

/** Whole or not at all: a run that is stopped while it writes must not cost the other parts' results. */
function replace(file, text) {
  const path = fileURLToPath(file);
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

function publish(latest) {
  mkdirSync(RESULTS, { recursive: true });
  replace(LATEST, `${JSON.stringify(latest, null, 1)}\n`);
  replace(new URL('latest.md', RESULTS), markdown(latest));
  for (const [name, svg] of drawPlots(latest)) replace(new URL(`../../docs/${name}`, import.meta.url), svg);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean', default: false }, report: { type: 'boolean', default: false } },
  });
  const unknown = positionals.filter((name) => !(name in PARTS));
  if (unknown.length > 0) {
    console.error(`no such part: ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
    return 1;
  }
  const parts = values.report ? [] : positionals.length > 0 ? positionals : Object.keys(PARTS);
  const python = peerPython();
  const versions = python === undefined ? null : versionsOf(python);
  if (parts.length > 0)
    console.error(
      versions === null
        ? 'peers: none, so no ratios; npm run bench:peers installs them'
        : `peers: torch ${versions.torch}, numpy ${versions.numpy}`,
    );
  let status = 0;
  for (const part of parts) {
    console.error(`${part}: started`);
    try {
      const result = await runPart(part, { quick: values.quick, python });
      publish({ ...readLatest(), parts: { ...readLatest().parts, [part]: result } });
      console.error(`${part}: done in ${result.seconds} s`);
    } catch (error) {
      console.error(`${part}: not measured, what is known of it stays: ${error.message}`);
      status = 1;
    }
  }
  const latest = readLatest();
  publish(latest);
  console.log(markdown(latest));
  return status;
}

process.exitCode = await main();
