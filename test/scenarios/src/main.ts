/** `npm run chaos`: real faults on real processes, one after another; prints a table and writes it as JSON. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULTS, QUICK_FAULTS } from './faults.js';
import type { Fault } from './fault.js';
import { FULL, QUICK, putToTest, type Row } from './scenario.js';
import { failed, markdown } from './table.js';

const USAGE = `npm run chaos -- [--only ID,ID] [--repeat N] [--quick] [--json FILE]
  --only    these faults: ${FAULTS.map(({ id }) => id).join(' ')}
  --repeat  injections of each (default ${FULL.repeat}; ${QUICK.repeat} with --quick)
  --quick   a choice of faults, in short runs
  --json    where the figures go (default runs/chaos.json)`;

/** A mistake in the flags. */
class UsageError extends Error {}

function chosen(only: string | undefined, quick: boolean): readonly Fault[] {
  if (only === undefined) return quick ? QUICK_FAULTS : FAULTS;
  return only.split(',').map((id) => {
    const fault = FAULTS.find((known) => known.id === id);
    if (fault === undefined) throw new UsageError(`no fault is called ${id}`);
    return fault;
  });
}

function options(): { faults: readonly Fault[]; plan: typeof FULL; json: string } | null {
  const { values } = parseArgs({
    options: {
      only: { type: 'string' },
      repeat: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string', default: 'runs/chaos.json' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return null;
  const plan = values.quick ? QUICK : FULL;
  const repeat = values.repeat === undefined ? plan.repeat : Number(values.repeat);
  if (!Number.isSafeInteger(repeat) || repeat < 1) throw new UsageError('--repeat needs a whole number above 0');
  return { faults: chosen(values.only, values.quick), plan: { ...plan, repeat }, json: resolve(values.json) };
}

function summary(row: Row): string {
  if (row.skipped !== null) return `skipped: ${row.skipped}`;
  return failed(row) ? `FAILED: ${row.problem ?? ''}` : `${row.injections} injections, bits equal`;
}

async function main(): Promise<number> {
  const asked = options();
  if (asked === null) {
    console.log(USAGE);
    return 0;
  }
  const rows: Row[] = [];
  for (const fault of asked.faults) {
    const started = performance.now();
    const row = await putToTest(fault, asked.plan);
    rows.push(row);
    console.log(`${fault.id}: ${summary(row)} (${((performance.now() - started) / 1000).toFixed(0)} s)`);
  }
  console.log(`\n${markdown(rows)}`);
  mkdirSync(dirname(asked.json), { recursive: true });
  writeFileSync(asked.json, `${JSON.stringify({ recipe: asked.plan.recipe, rows }, null, 2)}\n`);
  console.log(`\nfigures in ${asked.json}`);
  return rows.some(failed) ? 1 : 0;
}

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    const usage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
    console.error(usage && error instanceof Error ? `${error.message}\n${USAGE}` : error);
    process.exit(usage ? 2 : 1);
  },
);
