/** Where the engine lies, by the same rule as the set-up script. */
import { defaultCacheDir, engineDir, type Device } from '../recipe.mjs';

/**
 * The engine's folder: LOCKSTEP_CACHE, else XDG_CACHE_HOME/lockstep, else ~/.cache/lockstep, then engine/<key>.
 * `env` is the process environment, handed in from the edge. The folder need not exist: loadEngine says so if not.
 */
export function engineDirectory(device: Device, env: Readonly<Record<string, string | undefined>>): string {
  return engineDir({ device, cacheDir: defaultCacheDir(env) });
}
