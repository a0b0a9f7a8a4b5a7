/** results/ablation.json, and its table. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { RESULTS } from '../places.js';
import { processorSchema, processorText } from '../result/machine.js';

const STORED = new URL('ablation.json', RESULTS);
const TABLE = new URL('ablation.md', RESULTS);

/** A figure of samples, of real test images, and of noise. */
const beside = z.object({ samples: z.number(), floor: z.number(), ceiling: z.number() });
const counts = z.looseObject({ largestDeviation: z.number() });

/** What is kept of an evaluation. */
const judgementSchema = z.object({
  frechetDistance: beside,
  precision: beside,
  recall: beside,
  classes: z.object({ samples: counts, floor: counts, ceiling: counts }),
  noiseError: z.object({ heldOut: z.array(z.number()), training: z.array(z.number()) }),
  classifier: z.looseObject({ digest: z.string(), testAccuracy: z.number() }),
});
export type Judgement = z.infer<typeof judgementSchema>;

const flagsSchema = z.record(z.string(), z.union([z.string(), z.number()]));
const variantSchema = z.object({
  recipe: flagsSchema,
  judged: flagsSchema,
  ...judgementSchema.shape,
  commit: z.string(),
  machine: processorSchema,
});
const storedSchema = z.object({ variants: z.record(z.string(), variantSchema) });

export type Variant = z.infer<typeof variantSchema>;
/** By name. */
export type Variants = z.infer<typeof storedSchema>['variants'];

/** What is known; nothing, where nothing was measured yet. */
export function readVariants(): Variants {
  return existsSync(STORED) ? storedSchema.parse(JSON.parse(readFileSync(STORED, 'utf8'))).variants : {};
}

/** Keeps them, in the order of `names`. */
export function writeVariants(variants: Variants, names: Iterable<string>): void {
  const inOrder = [...names].flatMap((name): [string, Variant][] => (name in variants ? [[name, variants[name]]] : []));
  writeFileSync(STORED, `${JSON.stringify({ variants: Object.fromEntries(inOrder) }, null, 2)}\n`);
}

/** Writes the table of these, and returns it. */
export function writeTable(variants: Variants): string {
  const text = tableOf(variants);
  writeFileSync(TABLE, text);
  return text;
}

const share = (value: number): string => `${(100 * value).toFixed(0)} %`;
const HEADER = ['variant', 'steps', 'LeNet-FD', 'precision', 'recall', 'classes', 'noise error by quarter of t'];

function rowOf([name, variant]: readonly [string, Variant]): string[] {
  const { recipe, frechetDistance, precision, recall, classes, noiseError } = variant;
  return [
    name,
    String(recipe['steps']),
    frechetDistance.samples.toFixed(1),
    share(precision.samples),
    share(recall.samples),
    share(classes.samples.largestDeviation),
    noiseError.heldOut.map((value) => value.toFixed(3)).join(' / '),
  ];
}

function tableOf(variants: Variants): string {
  const all = Object.entries(variants);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const processors = [...new Set(all.map(([, { machine }]) => processorText(machine)))];
  const where = `Measured on ${processors.join('; ')}: the last bits, and so the figures, depend on it.`;
  const table = [line(HEADER), line(HEADER.map(() => '---')), ...all.map((one) => line(rowOf(one)))];
  return `${[where, '', ...table, '', ...all.slice(0, 1).map(([, first]) => boundsText(first))].join('\n')}\n`;
}

/** Between what the figures lie. */
function boundsText({ frechetDistance, precision, recall, classes, judged }: Variant): string {
  return `Floor of ${judged['samples']} test images: LeNet-FD ${frechetDistance.floor.toFixed(1)}, precision ${share(precision.floor)}, recall ${share(recall.floor)}, classes ${share(classes.floor.largestDeviation)}. Ceiling (noise): LeNet-FD ${frechetDistance.ceiling.toFixed(0)}.`;
}
