/**
 * Named training recipes: everything about a run that is not about where it runs. Data, so that a run's config can hold one.
 */
import { DiffusionError } from '../errors.js';
import type { LossWeighting, NetworkTime } from '../training/microbatch.js';
import type { ModelConfig } from '../network/model.js';
import type { SamplerConfig } from '../sampling/sampler.js';
import type { Prediction, ScheduleConfig } from '../training/schedule.js';
import type { TimestepSampling } from '../training/timesteps.js';

export type Recipe = {
  readonly model: ModelConfig;
  readonly schedule: ScheduleConfig;
  readonly timesteps: TimestepSampling;
  readonly lossWeighting: LossWeighting;
  readonly prediction: Prediction;
  /** Probability that a sample is trained without its label; 0 where the network knows no labels. */
  readonly labelDrop: number;
  readonly networkTime: NetworkTime;
  readonly globalBatch: number;
  readonly microbatchSize: number;
  readonly steps: number;
  readonly optimizer: {
    readonly beta1: number;
    readonly beta2: number;
    readonly eps: number;
    readonly peakLearningRate: number;
    /** 0: no warm-up. */
    readonly warmupSteps: number;
    /** Learning rate at the end, as a fraction of the peak; 1: it stays. */
    readonly finalFraction: number;
    /** Longest gradient, Euclidean norm; null: no clipping. */
    readonly maxGradientNorm: number | null;
    /** 0: no averaging, so samples are drawn from the weights themselves. */
    readonly emaMaxDecay: number;
  };
  readonly sampler: SamplerConfig;
};

const DEFAULT = {
  model: {
    kind: 'unet',
    base: 16,
    channelMultipliers: [1, 2, 2],
    attentionAt: 'middle',
    groups: 8,
    imageSize: 28,
    channels: 1,
    timeEmbedding: 128,
    classes: 10,
  },
  schedule: { kind: 'cosine', T: 1000, s: 0.008 },
  timesteps: 'stratified',
  lossWeighting: 'none',
  prediction: 'v',
  // Ho and Salimans 2022 found 0.1 to 0.2 to be equally good.
  labelDrop: 0.1,
  networkTime: 'timestep',
  globalBatch: 32,
  microbatchSize: 8,
  steps: 2400,
  optimizer: {
    beta1: 0.9,
    beta2: 0.99,
    eps: 1e-8,
    peakLearningRate: 1e-3,
    warmupSteps: 100,
    finalFraction: 0.05,
    maxGradientNorm: 1,
    emaMaxDecay: 0.9995,
  },
  sampler: { kind: 'dpmpp2m', steps: 20, clip: true },
} as const satisfies Recipe;

/** The seed tutorial (Ho et al. 2020 on MNIST) with this many features; its own numbers throughout, to be compared with. */
function seedPreset(features: number): Recipe {
  return {
    model: { kind: 'seed-unet', features, imageSize: 28, channels: 1 },
    schedule: { kind: 'seed', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 },
    timesteps: 'uniform',
    lossWeighting: 'none',
    prediction: 'eps',
    labelDrop: 0,
    networkTime: 'fraction',
    globalBatch: 32,
    microbatchSize: 8,
    // Ten epochs of 60,000 images, the last one short.
    steps: 18_750,
    optimizer: {
      // PyTorch's defaults.
      beta1: 0.9,
      beta2: 0.999,
      eps: 1e-8,
      peakLearningRate: 1e-5,
      warmupSteps: 0,
      finalFraction: 1,
      maxGradientNorm: null,
      emaMaxDecay: 0,
    },
    sampler: { kind: 'ddpm', steps: 1000, variance: 'beta', clip: false },
  };
}

/**
 * `default`: the best digits of a few minutes on two cores; of an hour those of width 32 (docs/results/quality.md). `tiny`: of the default's shape, for tests; without
 * classes, and its images are not digits. `seed-F`: the seed tutorial's network of F features. The tutorial leaves F open;
 * `seed` has 32, with which two cores do its ten epochs in a quarter of an hour, where 64 need three and 128 nine times as long.
 */
export const PRESETS = {
  default: DEFAULT,
  tiny: {
    ...DEFAULT,
    model: { ...DEFAULT.model, base: 8, channelMultipliers: [1, 1, 1], groups: 4, timeEmbedding: 16, classes: 0 },
    prediction: 'eps',
    labelDrop: 0,
    globalBatch: 16,
    microbatchSize: 4,
    steps: 20,
    optimizer: { ...DEFAULT.optimizer, warmupSteps: 4 },
    sampler: { kind: 'ddim', steps: 10, eta: 0, clip: true },
  },
  seed: seedPreset(32),
  'seed-16': seedPreset(16),
  'seed-64': seedPreset(64),
  'seed-128': seedPreset(128),
} as const satisfies Readonly<Record<string, Recipe>>;

export type PresetName = keyof typeof PRESETS;

/** Every preset's name, for help texts. */
export const PRESET_NAMES: readonly string[] = Object.keys(PRESETS);

/**
 * The preset of this name.
 *
 * @throws E_PRESET naming those there are
 */
export function presetOf(name: string): Recipe {
  const found = Object.entries<Recipe>(PRESETS).find(([key]) => key === name);
  if (found === undefined) {
    throw new DiffusionError('E_PRESET', `no preset is called ${name}: use one of ${PRESET_NAMES.join(', ')}`);
  }
  return found[1];
}
