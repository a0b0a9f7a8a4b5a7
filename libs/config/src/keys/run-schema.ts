/** The config of a run, as its coordinator reads it. */
import { DEFAULT_ENGINE, ENGINES } from '@lockstep/base';
import { allowedHostsKey } from './allowed-hosts-key.js';
import { deviceKey } from './device-key.js';
import { diffusionKeys } from './diffusion-keys.js';
import {
  choiceKey,
  fractionKey,
  hostKey,
  integerKey,
  optionalFractionKey,
  optionalIntegerKey,
  optionalPositiveKey,
  optionalTextKey,
  optionsKey,
  portKey,
  switchKey,
  textKey,
  type ValuesOf,
} from '../key.js';
import { logLevelKey } from './log-level-key.js';
import type { Check } from '../schema.js';
import { traceKey } from './trace-key.js';
import { warningSignalKey } from './warning-signal-key.js';

/** A microbatch is held whole in memory, with all that its gradient passes through: more images than this are a slip. */
const MAX_MICROBATCH = 65_536;
/** Random numbers are keyed by a step and a sample's place in it, each a 32-bit word. */
const MAX_RANDOM_WORDS = 2 ** 32;
/** 120 of it, the longest wait that derives from it, must fit a timer's 2^31 ms; and nobody waits an hour to see a loss. */
const MAX_HEARTBEAT_TIMEOUT_MS = 3_600_000;
/** Below this a busy machine's scheduling pauses already look like a lost worker. */
const MIN_HEARTBEAT_TIMEOUT_MS = 500;

export const runKeys = {
  task: optionalTextKey({
    doc: 'file with a task of your own (docs/guide/your-own-task.md), such as ./task.mjs; null: diffusion',
  }),
  options: optionsKey({
    flag: 'option',
    doc: "an option of your own task, several times if need be; else the task's default",
  }),
  data: optionalTextKey({
    doc: "training data. Diffusion: mnist, or a folder of IDX files (Fashion-MNIST, KMNIST) or of PNGs, subfolders being classes; a task of your own: what it takes. null: the task's (mnist)",
  }),
  from: optionalTextKey({
    doc: "directory of a run that this one starts from: its newest checkpoint's weights and average, and its recipe where nothing else is given; null: from the seed",
  }),
  steps: optionalIntegerKey({
    min: 1,
    max: MAX_RANDOM_WORDS,
    doc: "optimiser updates in the whole run; null: the task's",
  }),
  seed: integerKey({ default: 0, min: 0, doc: 'of all random numbers; the same seed gives the same weights' }),
  globalBatch: optionalIntegerKey({
    min: 1,
    max: MAX_RANDOM_WORDS,
    doc: "samples a step, whatever the number of workers; null: the task's",
  }),
  microbatchSize: optionalIntegerKey({
    min: 1,
    max: MAX_MICROBATCH,
    doc: "samples a microbatch, the unit of work; divides globalBatch; null: the task's",
  }),
  checkpointEvery: integerKey({ default: 200, min: 1, doc: 'steps between checkpoints' }),
  keepCheckpoints: integerKey({ default: 3, min: 1, doc: 'how many of the newest checkpoints are kept' }),
  evaluateEvery: integerKey({
    default: 0,
    min: 0,
    doc: 'judge samples of every so many-th checkpoint, beside the training and at the lowest priority; 0: never',
  }),
  minWorkers: integerKey({ default: 1, min: 1, doc: 'workers that must have joined before a step begins' }),
  heartbeatTimeoutMs: integerKey({
    default: 5000,
    min: MIN_HEARTBEAT_TIMEOUT_MS,
    max: MAX_HEARTBEAT_TIMEOUT_MS,
    doc: 'milliseconds of silence after which a peer counts as lost: the one timeout, all others derive from it',
  }),
  wire: choiceKey({
    default: 'int32',
    choices: ['int32', 'int16'],
    doc: 'integers that gradients are summed as between workers; int16 sends half the bytes, for slow links, with coarser gradients: other weights, as exact and as free of order',
  }),
  engine: choiceKey({
    default: DEFAULT_ENGINE,
    choices: ENGINES,
    doc: "what computes a new run's gradients: program, Lockstep's own kernels; tensorflow, TensorFlow's session. Their bits differ, so a run keeps the one it has",
  }),
  auditRate: fractionKey({
    default: 0,
    doc: 'share of microbatches that a second worker computes too; a worker whose bits are wrong is evicted',
  }),
  numerics: choiceKey({
    default: 'strict',
    choices: ['strict', 'relaxed'],
    doc: 'strict: only workers whose gradients have the same bits; relaxed: any, and the ledger says that bits are not reproducible',
  }),
  nonFinite: choiceKey({
    default: 'stop',
    choices: ['stop', 'skip'],
    doc: 'what a gradient with NaN or infinity does: stop the run, or skip the update of that step',
  }),
  host: hostKey({ default: '127.0.0.1', doc: 'address that the coordinator listens on' }),
  port: portKey({ default: 29_400, doc: 'port that the coordinator listens on; 0: any free one' }),
  allowedHosts: allowedHostsKey,
  out: textKey({ default: 'runs/default', doc: 'directory of the run: config, ledger, checkpoints' }),
  takeOver: switchKey({
    doc: 'go on though the coordinator before may still write the ledger: one on a machine that cannot be asked, as over NFS. Only if it is gone for certain; one that is seen to live is never replaced',
  }),
  learningRate: optionalPositiveKey({ doc: "Adam's peak learning rate; null: the task's" }),
  warmupSteps: optionalIntegerKey({ min: 0, doc: "steps of linear warm-up of the learning rate; null: the task's" }),
  emaDecay: optionalFractionKey({
    doc: "most that a step keeps of the moving average of the weights, from which samples are drawn; 0: the average is the weights; null: the task's",
  }),
  ...diffusionKeys,
  device: deviceKey,
  trace: traceKey,
  logLevel: logLevelKey,
  warningSignal: warningSignalKey,
};

export type RunConfig = ValuesOf<typeof runKeys>;

/** What the batch must be is known where the recipe is (apps/coordinator, asked-run.ts), as the preset may have its parts. */
export const runChecks: readonly Check<RunConfig>[] = [];
