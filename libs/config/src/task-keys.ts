/** Which keys go with the task that is trained: what only diffusion has means nothing to a task of the user's own, and the other way round. */
import { diffusionKeys } from './keys/diffusion-keys.js';
import type { RunConfig } from './keys/run-schema.js';
import { contradiction, type Given, type Part } from './load.js';

/** What is trained. */
export type TrainedTask = {
  /** File of the user's own task; null: diffusion. */
  readonly path: string | null;
  /** Where that was said, in words: a flag, or the record of a run that goes on. */
  readonly source: string;
  /** Keys that it takes beside those for any task. */
  readonly keys: readonly string[];
  /** Its samples can be judged. */
  readonly evaluates: boolean;
};

/**
 * Checks that the task takes every key that was given.
 *
 * @throws ConfigError E_CONFIG_CONFLICT, naming the key, its value and where it was given
 */
export function checkTaskKeys(config: RunConfig, given: Given, { path, source, keys, evaluates }: TrainedTask): void {
  const values: Readonly<Record<string, unknown>> = config;
  const refuse = (rule: string, key: string): never => {
    const part = { key, value: values[key], source: given.get(key)?.source ?? 'the default' };
    throw contradiction(rule, [part, { key: 'task', value: path, source } satisfies Part]);
  };
  if (path === null && Object.keys(config.options).length > 0)
    refuse('options are those of a task of your own, and diffusion has keys in their place', 'options');
  // A null says no more than that nothing was chosen.
  const foreign = Object.keys(diffusionKeys).find(
    (key) => given.has(key) && values[key] !== null && !keys.includes(key),
  );
  if (foreign !== undefined)
    refuse(`only diffusion has a ${foreign}; a task of your own has options (--option)`, foreign);
  if (config.evaluateEvery > 0 && !evaluates)
    refuse('the samples of a task of your own cannot be judged while it trains', 'evaluateEvery');
}
