/**
 * Replay: computes one microbatch of a run again, bit for bit, from what is on disk. Begins at the newest state that is
 * kept, redoes the steps in between with the production Trainer (checking each against the ledger), and says of the
 * microbatch what it was made of and what its gradient looks like.
 */
import { join } from 'node:path';
import { engineDifferences, type EngineDescription } from '@lockstep/comm';
import {
  CheckpointError,
  encodeSafetensors,
  openOutput,
  stateDigest,
  type LedgerReader,
  type OutputFile,
} from '@lockstep/run';
import {
  dimensionsOf,
  globalNorm,
  imageShapeOf,
  loadRunData,
  parameterCount,
  parameterTable,
  type Microbatch,
  type ParameterTable,
} from '@lockstep/diffusion';
import type { Engine } from '@lockstep/engine';
import { allocateArena, copyState, openArena, type Arena } from '../compute/arena.js';
import { digestOf } from '../compute/gradient-digest.js';
import { describeEngine } from '../compute/engine-description.js';
import { agreedExponents, summandOf, sumFormOf, sumGradients } from '../compute/exact-sum.js';
import { ReplayError } from './replay-error.js';
import { openLedger, openRunOnDisk, startingPoint, type RunOnDisk } from './replay-run.js';
import { Trainer } from '../compute/trainer.js';

export { ReplayError } from './replay-error.js';

export interface ReplayOptions {
  /** Of the run. */
  readonly directory: string;
  /** Counted from 0; at most one beyond the ledger's last. */
  readonly step: number;
  readonly microbatch: number;
  /** Where the run's data is now; null: where it was when the run began. */
  readonly data: string | null;
  /** Where to write batch and gradient; null: nowhere. */
  readonly out: string | null;
  /** In a process whose environment is the engine's: see libs/engine, `engineEnvironment`. */
  readonly engine: Engine;
  /** Called before every redone step: steps done, steps to do. */
  readonly onStep: (done: number, total: number) => void;
  readonly warn: (text: string) => void;
}

/** A tensor of the gradient with numbers that are NaN or infinite. */
export interface NonFiniteTensor {
  readonly name: string;
  readonly count: number;
  readonly size: number;
}

export interface ReplayReport {
  readonly runId: string;
  /** Where the replay began. */
  readonly from: { readonly step: number; readonly origin: string };
  /** Data set indices of the samples. */
  readonly indices: readonly number[];
  /** 16 hex digits that name them; the ledger's name for this microbatch, null if the step is not committed. */
  readonly samples: string;
  readonly samplesInLedger: string | null;
  /** 1..T by sample. */
  readonly timesteps: readonly number[];
  /** Mean; null if it is not finite. */
  readonly loss: number | null;
  readonly gradientNorm: number;
  readonly nonFinite: readonly NonFiniteTensor[];
  /** The finite number of largest magnitude, and the tensor that it is in; null if none is finite. */
  readonly largest: { readonly magnitude: number; readonly tensor: string } | null;
  /** sha256 of the gradient's bytes. */
  readonly gradientDigest: string;
  /** The file that was written. */
  readonly out: string | null;
  /** It is standard output, where the report then does not belong. */
  readonly isPrinted: boolean;
}

/** Where the file goes if no name is given. */
export function defaultReplayFile(directory: string, step: number, microbatch: number): string {
  return join(directory, 'replay', `step-${step}-microbatch-${microbatch}.safetensors`);
}

/**
 * Computes microbatch `microbatch` of step `step` of the run again.
 * @throws ReplayError E_REPLAY_*; CheckpointError E_RUN_*, E_LEDGER_*, E_ORIGIN_STATE; DiffusionError E_DATA_CHANGED and others; EngineError
 */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const { directory, step, microbatch, engine } = options;
  const run = await openRunOnDisk(directory);
  const ledger = await openLedger(directory);
  try {
    checkArguments(run, ledger, step, microbatch);
    // Steps that take minutes to redo must not end with a file that cannot be written.
    const out = options.out === null ? null : openReplay(options.out);
    const start = await startingPoint(directory, run, (k) => ledger.get(k), step, options.warn);
    const arena = openArena(allocateArena(parameterCount(parameterTable(run.recipe.model))));
    copyState(start.state, arena.state);
    const { data: source, dataDigest: digest } = run.settings;
    const dataset = loadRunData({ source: source ?? 'mnist', digest }, options.data);
    const trainer = new Trainer(engine, run.settings, arena, { dataset });
    for (let k = start.step; k < step; k++) {
      options.onStep(k - start.step, step - start.step);
      redo(trainer, arena, run, ledger, k, describeEngine(engine.identity));
    }
    const { values, loss, samples } = trainer.compute(step, microbatch);
    const batch = trainer.batch(step, microbatch);
    if (out !== null) writeReplay(out, run, { step, microbatch, batch, arena, gradient: values });
    return {
      runId: run.runId,
      from: { step: start.step, origin: start.origin },
      indices: [...batch.indices],
      samples,
      samplesInLedger: ledger.get(step)?.samples[microbatch] ?? null,
      timesteps: timestepsOf(batch, run),
      loss,
      ...shapeOf(values, trainer.table),
      gradientDigest: digestOf(values),
      out: out?.path ?? null,
      isPrinted: out?.isStandardOutput ?? false,
    };
  } finally {
    await ledger.close();
  }
}

function checkArguments({ recipe }: RunOnDisk, ledger: LedgerReader, step: number, microbatch: number): void {
  const next = (ledger.last()?.step ?? -1) + 1;
  if (!Number.isSafeInteger(step) || step < 0 || step > next) {
    throw new ReplayError(
      'E_REPLAY_STEP',
      `step ${step} cannot be replayed: ${next} steps are committed, so name one from 0 to ${next}`,
    );
  }
  const microbatches = recipe.globalBatch / recipe.microbatchSize;
  if (!Number.isSafeInteger(microbatch) || microbatch < 0 || microbatch >= microbatches) {
    throw new ReplayError(
      'E_REPLAY_MICROBATCH',
      `a step of this run has ${microbatches} microbatches: name one from 0 to ${microbatches - 1}, not ${microbatch}`,
    );
  }
}

/** Step k with all its microbatches, in this one process; the state that comes of it must be the ledger's. */
function redo(
  trainer: Trainer,
  arena: Arena,
  { recipe, settings }: RunOnDisk,
  ledger: LedgerReader,
  k: number,
  engine: EngineDescription,
): void {
  const entry = ledger.get(k);
  if (entry === undefined) throw new Error(`the ledger ended at step ${k} while it was read`);
  if (entry.skipped) {
    trainer.apply(k, [], true);
  } else {
    const form = sumFormOf(settings, recipe);
    const gradients = Array.from({ length: form.microbatches }, (_, i) =>
      summandOf(trainer.compute(k, i).values, trainer.table, form),
    );
    const exponents = agreedExponents(gradients, trainer.table);
    sumGradients(arena.sum, gradients, trainer.table, exponents, form);
    trainer.apply(k, [...exponents], false);
  }
  const digest = stateDigest({ step: k + 1, ...arena.state });
  if (digest === entry.digest) return;
  const known = ledger.numericsClass()?.engine;
  const differences = engineDifferences(engine, known ?? engine).map(
    ({ name, first, second }) => `${name} ${first} here, ${second} there`,
  );
  throw new ReplayError(
    'E_REPLAY_DIGEST',
    `step ${k} done again gives state ${digest}, the ledger has ${entry.digest}. The likely reason is another numerics class: ` +
      (differences.length === 0
        ? 'no difference is known between this engine and the one that the run began with'
        : differences.join('; ')) +
      `${ledger.notReproducibleFrom() === null ? '' : '; and workers of several classes took part in the run'}. ` +
      'Replay on an engine of the class of the run, or check the memory here',
  );
}

/** t of the recipe's schedule; the network may have seen a fraction of T. */
function timestepsOf({ t }: Microbatch, { recipe }: RunOnDisk): number[] {
  switch (recipe.networkTime) {
    case 'timestep':
      return [...t];
    case 'fraction':
      return [...t].map((fraction) => Math.round(fraction * recipe.schedule.T));
    default:
      return recipe.networkTime satisfies never;
  }
}

function shapeOf(
  gradient: Float32Array,
  table: ParameterTable,
): Pick<ReplayReport, 'gradientNorm' | 'nonFinite' | 'largest'> {
  const nonFinite: NonFiniteTensor[] = [];
  let largest: ReplayReport['largest'] = null;
  for (const { name, offset, size } of table) {
    let count = 0;
    let magnitude = -1;
    for (let i = offset; i < offset + size; i++) {
      const value = Math.abs(gradient[i]);
      if (!Number.isFinite(value)) count++;
      else if (value > magnitude) magnitude = value;
    }
    if (count > 0) nonFinite.push({ name, count, size });
    if (magnitude > (largest?.magnitude ?? -1)) largest = { magnitude, tensor: name };
  }
  return { gradientNorm: globalNorm(gradient), nonFinite, largest };
}

type Replayed = {
  readonly step: number;
  readonly microbatch: number;
  readonly batch: Microbatch;
  readonly arena: Arena;
  readonly gradient: Float32Array;
};

/** Batch, weights and gradient in one safetensors file. Indices as float32: exact below 2^24, which data sets here are. */
function writeReplay(
  out: OutputFile,
  { runId, recipe }: RunOnDisk,
  { step, microbatch, batch, arena, gradient }: Replayed,
): void {
  const n = batch.t.length;
  const images = [n, ...dimensionsOf(imageShapeOf(recipe.model))];
  const entry = (name: string, data: Float32Array, shape: readonly number[] = [n]) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data,
  });
  const perTensor = (prefix: string, flat: Float32Array) =>
    parameterTable(recipe.model).map(({ name, shape, offset, size }) =>
      entry(prefix + name, flat.subarray(offset, offset + size), shape),
    );
  const chunks = encodeSafetensors(
    [
      entry('indices', Float32Array.from(batch.indices)),
      entry('x0', batch.x0, images),
      entry('eps', batch.eps, images),
      entry('sqrtAlphaBar', batch.sqrtAlphaBar),
      entry('sqrtOneMinusAlphaBar', batch.sqrtOneMinusAlphaBar),
      entry('t', batch.t),
      entry('lossWeight', batch.lossWeight),
      ...perTensor('weights.', arena.state.weights),
      ...perTensor('gradient.', gradient),
    ],
    { format: 'lockstep-replay', runId, step: String(step), microbatch: String(microbatch) },
  );
  writing(() => out.write(...chunks));
}

/** @throws ReplayError E_REPLAY_WRITE */
function openReplay(path: string): OutputFile {
  return writing(() => openOutput(path, { makeFolder: true }));
}

function writing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    throw new ReplayError('E_REPLAY_WRITE', error.message.slice(`${error.code}: `.length), { cause: error });
  }
}
