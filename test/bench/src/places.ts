/** Where the benchmarks find programs and put what they found. */
import { fileURLToPath } from 'node:url';

/** The repository. */
export const ROOT = new URL('../../../', import.meta.url);
/** latest.json, the tables, and what else is kept. */
export const RESULTS = new URL('../results/', import.meta.url);
/** Plots that the documentation shows. */
export const PLOTS = new URL('docs/results/', ROOT);
/** Pictures to be looked at; nothing here is kept. */
export const PICTURES = new URL('runs/ablation/', ROOT);

/** The `lockstep` command. */
export const CLI = fileURLToPath(new URL('apps/cli/dist/main.js', ROOT));

/** A peer's Python script. */
export const peerScript = (name: string): string => fileURLToPath(new URL(`../peers/${name}`, import.meta.url));

/** A program of these benchmarks that runs in a process of its own, such as `step/step-ours.js`. */
export const benchProgram = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
