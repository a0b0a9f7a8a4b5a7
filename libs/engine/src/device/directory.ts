/** Where the engine and compiled graphs lie in the cache folder, which libs/config finds in the environment. */
import { join } from 'node:path';
import type { Device } from './device.js';
import { engineDir } from './engine-parts.mjs';

/** The engine's folder, engine/<key> in the cache. It need not exist: loadEngine says so if not. */
export function engineDirectory(device: Device, cache: string): string {
  return engineDir({ device, cacheDir: cache });
}

/** The folder of compiled graphs, of all engines: graphs/ beside engine/. It is made when the first graph is kept. */
export function graphDirectory(cache: string): string {
  return join(cache, 'graphs');
}
