/** A schema: keys, and the rules that hold between several of them. */
import type { Keys } from './key.js';

/** Which keys contradict each other, and the rule that they break. */
export type Conflict = { readonly keys: readonly [string, string]; readonly rule: string };

/** A rule over a config whose keys are each valid: undefined when it holds. */
export type Check<C> = (config: C) => Conflict | undefined;

export type Schema<K extends Keys, C> = { readonly keys: K; readonly checks: readonly Check<C>[] };
