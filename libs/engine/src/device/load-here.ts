/** The engine of a program that computes on its own main thread: one command, one engine. */
import type { EngineName } from '@lockstep/base';
import { engineDirectory, graphDirectory } from './directory.js';
import { engineEnvironment, type EngineSetting } from './environment.js';
import { loadEngine, type Engine } from './load.js';

export type EngineHere = EngineSetting & {
  /** As EngineOptions has them. */
  readonly engine?: EngineName;
  readonly kernels?: string | undefined;
  /** The cache folder, in which engine and compiled graphs lie. */
  readonly cache: string;
};

/**
 * Sets the process's environment up for the engine, and loads it. Call it on the main thread, once.
 *
 * @param environment process.env itself: libtensorflow reads its settings there
 * @throws EngineError E_ENGINE_*; RangeError for bad threads
 */
export function loadEngineHere(
  { device, threads, cache, engine, kernels }: EngineHere,
  environment: NodeJS.ProcessEnv,
): Engine {
  Object.assign(environment, engineEnvironment({ device, threads }));
  return loadEngine({
    device,
    threads,
    directory: engineDirectory(device, cache),
    graphs: graphDirectory(cache),
    ...(engine === undefined ? {} : { engine }),
    ...(kernels === undefined ? {} : { kernels }),
  });
}
