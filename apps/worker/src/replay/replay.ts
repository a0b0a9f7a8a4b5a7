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
import type { Arithmetic, EngineName } from '@lockstep/base';
import type { Engine } from '@lockstep/engine';
import { globalNorm, parameterCount, type NamedTensor, type ParameterTable, type Prepared } from '@lockstep/task';
import { allocateArena, copyState, openArena, type Arena } from '../compute/arena.js';
import { digestOf } from '../compute/gradient-digest.js';
import { describeEngine } from '../compute/engine-description.js';
import { agreedExponents, summandOf, sumFormOf, sumGradients } from '../compute/exact-sum.js';
import { ReplayError } from './replay-error.js';
import { dataOf, openLedger, openRunOnDisk, startingPoint, type RunOnDisk } from './replay-run.js';
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
  /** Loads the engine, which takes seconds. In a process whose environment is the engine's: see libs/engine, `engineEnvironment`. */
  readonly engine: (name: EngineName) => Engine;
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
  /** What the task says of the samples, by name, a number each: of diffusion `timesteps`, 1..T. */
  readonly notes: Readonly<Record<string, readonly number[]>>;
  /** Mean; null if it is not finite. */
  readonly loss: number | null;
  /** The task's own figures, by name: means. */
  readonly figures: Readonly<Record<string, number>>;
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
 * @throws ReplayError E_REPLAY_*; CheckpointError E_RUN_*, E_LEDGER_*, E_ORIGIN_STATE; TaskError E_TASK_CODE, E_DATA_CHANGED
 *   and others, and what else the task throws; EngineError
 */
export async function replay(options: ReplayOptions): Promise<ReplayReport> {
  const { directory, step, microbatch } = options;
  const run = await openRunOnDisk(directory);
  const ledger = await openLedger(directory);
  try {
    checkArguments(run, ledger, step, microbatch);
    // Steps that take minutes to redo must not end with a file that cannot be written.
    const out = options.out === null ? null : openReplay(options.out);
    const start = await startingPoint(directory, run, (k) => ledger.get(k), step, options.warn);
    const arena = openArena(allocateArena(parameterCount(run.task.table)));
    copyState(start.state, arena.state);
    const data = await dataOf(run, options.data);
    const engine = options.engine(run.engine);
    const trainer = new Trainer(engine, { ...run, data }, arena);
    for (let k = start.step; k < step; k++) {
      options.onStep(k - start.step, step - start.step);
      redo(trainer, arena, run, ledger, k, describeEngine(engine.identity));
    }
    const { values, loss, figures, samples } = trainer.compute(step, microbatch);
    const batch = trainer.batch(step, microbatch);
    if (out !== null)
      writeReplay(out, run, { step, microbatch, batch: tensorsOf(batch, trainer), arena, gradient: values });
    return {
      runId: run.runId,
      from: { step: start.step, origin: start.origin },
      indices: [...batch.indices],
      samples,
      samplesInLedger: ledger.get(step)?.samples[microbatch] ?? null,
      notes: batch.notes ?? {},
      loss,
      figures: Object.fromEntries((data.figures ?? []).map((name, place) => [name, figures[place]])),
      ...shapeOf(values, trainer.table, run.arithmetic),
      gradientDigest: digestOf(values),
      out: out?.path ?? null,
      isPrinted: out?.isStandardOutput ?? false,
    };
  } finally {
    await ledger.close();
  }
}

function checkArguments({ task }: RunOnDisk, ledger: LedgerReader, step: number, microbatch: number): void {
  const next = (ledger.last()?.step ?? -1) + 1;
  if (!Number.isSafeInteger(step) || step < 0 || step > next) {
    throw new ReplayError(
      'E_REPLAY_STEP',
      `step ${step} cannot be replayed: ${next} steps are committed, so name one from 0 to ${next}`,
    );
  }
  const microbatches = task.globalBatch / task.microbatchSize;
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
  run: RunOnDisk,
  ledger: LedgerReader,
  k: number,
  engine: EngineDescription,
): void {
  const entry = ledger.get(k);
  if (entry === undefined) throw new Error(`the ledger ended at step ${k} while it was read`);
  if (entry.skipped) {
    trainer.apply(k, [], true);
  } else {
    const form = sumFormOf(run, run.task);
    const gradients = Array.from({ length: form.microbatches }, (_, i) =>
      summandOf(trainer.compute(k, i).values, trainer.table, form),
    );
    const exponents = agreedExponents(gradients, trainer.table);
    sumGradients(arena.sum, gradients, trainer.table, exponents, form);
    trainer.apply(k, [...exponents], false);
  }
  const digest = stateDigest(arena.state, run.arithmetic);
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

function shapeOf(
  gradient: Float32Array,
  table: ParameterTable,
  arithmetic: Arithmetic,
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
  return { gradientNorm: globalNorm(gradient, arithmetic), nonFinite, largest };
}

type Replayed = {
  readonly step: number;
  readonly microbatch: number;
  readonly batch: readonly NamedTensor[];
  readonly arena: Arena;
  readonly gradient: Float32Array;
};

/** What a microbatch is made of, as float32: indices are exact below 2^24, which data sets here are. */
function tensorsOf({ indices, inputs, tensors }: Prepared, { inputShapes }: Trainer): NamedTensor[] {
  const numbered = inputs.map((input, place) => ({
    name: `input.${place}`,
    shape: inputShapes[place],
    data: Float32Array.from(input),
  }));
  return [{ name: 'indices', shape: [indices.length], data: Float32Array.from(indices) }, ...(tensors ?? numbered)];
}

/** Batch, weights and gradient in one safetensors file. */
function writeReplay(
  out: OutputFile,
  { runId, task }: RunOnDisk,
  { step, microbatch, batch, arena, gradient }: Replayed,
): void {
  const perTensor = (prefix: string, flat: Float32Array): NamedTensor[] =>
    task.table.map(({ name, shape, offset, size }) => ({
      name: prefix + name,
      shape,
      data: flat.subarray(offset, offset + size),
    }));
  const tensors = [...batch, ...perTensor('weights.', arena.state.weights), ...perTensor('gradient.', gradient)];
  const chunks = encodeSafetensors(
    tensors.map((tensor) => ({ ...tensor, dtype: 'F32' as const })),
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
