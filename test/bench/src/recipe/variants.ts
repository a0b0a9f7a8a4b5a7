/** What the ablation compares: a base, and variants of it that change one thing each, at equal compute. */

type Value = string | number;
/** Flags of `lockstep up`, without their dashes. */
export type Recipe = Readonly<Record<string, Value>>;

/** Every key that a variant changes, so that the table stays what it is when presets change. */
const BASE = {
  preset: 'default',
  classes: 10,
  steps: 1000,
  'global-batch': 32,
  'base-width': 32,
  prediction: 'v',
  schedule: 'cosine',
  'loss-weighting': 'none',
  timesteps: 'stratified',
  'learning-rate': 1e-3,
  'warmup-steps': 100,
  'ema-decay': 0.9995,
} satisfies Recipe;

/** Images that the base trains on in the time of one of the variant's, by width: measured once, 60 steps on one core. */
const SPEED = { 16: 2.4, 24: 1.7, 48: 0.56 };

const CHANGES: Readonly<Record<string, Recipe>> = {
  base: {},
  'base, other seed': { seed: 1 },
  'predicts eps': { prediction: 'eps' },
  'linear schedule': { schedule: 'linear' },
  'min-SNR weighting': { 'loss-weighting': 'min-snr' },
  'timesteps not stratified': { timesteps: 'uniform' },
  'no EMA': { 'ema-decay': 0 },
  'learning rate 5e-4': { 'learning-rate': 5e-4 },
  'learning rate 2e-3': { 'learning-rate': 2e-3 },
  'no warm-up': { 'warmup-steps': 0 },
  'width 16': { 'base-width': 16, steps: Math.round(1000 * SPEED[16]) },
  'width 24': { 'base-width': 24, steps: Math.round(1000 * SPEED[24]) },
  'width 48': { 'base-width': 48, steps: Math.round(1000 * SPEED[48]) },
  'batch 16': { 'global-batch': 16, steps: 2000 },
  'width 16, batch 16': { 'base-width': 16, 'global-batch': 16, steps: Math.round(2000 * SPEED[16]) },
  'no classes': { classes: 0 },
  'no classes, predicts eps': { classes: 0, prediction: 'eps' },
};

/** Every variant's whole recipe, by name, in the order of the table. */
export const VARIANTS: ReadonlyMap<string, Recipe> = new Map(
  Object.entries(CHANGES).map(([name, changes]) => [name, { ...BASE, ...changes }]),
);
