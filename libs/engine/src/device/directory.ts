/** Where the engine and compiled graphs lie, by the same rule as the set-up script. */
import { join } from 'node:path';
import type { Device } from './device.js';
import { defaultCacheDir, engineDir } from './engine-parts.mjs';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The engine's folder: LOCKSTEP_CACHE, else XDG_CACHE_HOME/lockstep, else ~/.cache/lockstep, then engine/<key>.
 * `env` is the process environment, handed in from the edge. The folder need not exist: loadEngine says so if not.
 */
export function engineDirectory(device: Device, env: Environment): string {
  return engineDir({ device, cacheDir: defaultCacheDir(env) });
}

/** The folder of compiled graphs, of all engines: graphs/ beside engine/. It is made when the first graph is kept. */
export function graphDirectory(env: Environment): string {
  return join(defaultCacheDir(env), 'graphs');
}

/** The folder that all of this lies in, for what other parts keep there: by the same rule, made by whoever needs it. */
export function cacheDirectory(env: Environment): string {
  return defaultCacheDir(env);
}
