/**
 * Where the engine and other things that outlive node_modules are kept: LOCKSTEP_CACHE, else XDG_CACHE_HOME/lockstep, else
 * ~/.cache/lockstep. Plain JavaScript, checked by the compiler, because the set-up scripts (tools) follow the same rule before
 * anything is built: they read this file, the library the copy of it in dist.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The folder need not exist: whoever keeps something there makes it.
 * @param {Readonly<Record<string, string | undefined>>} env the process environment, handed in
 */
export function cacheDirectory(env) {
  if (env.LOCKSTEP_CACHE) return env.LOCKSTEP_CACHE;
  const base = env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache');
  return join(base, 'lockstep');
}
