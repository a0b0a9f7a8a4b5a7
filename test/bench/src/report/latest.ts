/** results/latest.json: what is known of each part of the benchmarks, each by its last run. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { PLOTS, RESULTS } from '../places.js';
import { machineSchema } from '../result/machine.js';
import { rowsSchema } from '../result/result.js';
import { drawPlots } from './plots.js';
import { markdown } from './table.js';

const LATEST = new URL('latest.json', RESULTS);

const partSchema = z.object({
  date: z.string(),
  /** Null: it was not measured in a clone. */
  commit: z.string().nullable(),
  machine: machineSchema,
  /** What it took to measure. */
  seconds: z.number(),
  quick: z.boolean(),
  rows: rowsSchema,
  notes: z.array(z.string()).optional(),
  /** What stands in no table, by the script that found it. */
  details: z.record(z.string(), z.unknown()),
});
const latestSchema = z.object({ parts: z.record(z.string(), partSchema) });

export type Part = z.infer<typeof partSchema>;
export type Latest = z.infer<typeof latestSchema>;

/** What is known; nothing, where nothing was measured yet. */
export function readLatest(): Latest {
  let text: string;
  try {
    text = readFileSync(LATEST, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return { parts: {} };
    throw error;
  }
  return latestSchema.parse(JSON.parse(text));
}

/** Whole or not at all: a run that is stopped while it writes must not cost the other parts' results. */
function replace(file: URL, text: string): void {
  const path = fileURLToPath(file);
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

/** Writes latest.json, the table and the plots. */
export function publish(latest: Latest): void {
  mkdirSync(RESULTS, { recursive: true });
  replace(LATEST, `${JSON.stringify(latest, null, 1)}\n`);
  replace(new URL('latest.md', RESULTS), markdown(latest));
  for (const [name, svg] of drawPlots(latest)) replace(new URL(name, PLOTS), svg);
}
