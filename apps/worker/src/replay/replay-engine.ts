/** The engine of a command that computes on its own main thread, as replay does. */
import { engineDirectory, engineEnvironment, graphDirectory, loadEngine, type Engine } from '@lockstep/engine';

/**
 * Sets the process's environment up for the engine, and loads it. Call it on the main thread, once.
 *
 * @param environment process.env itself: libtensorflow reads its settings there
 * @throws EngineError E_ENGINE_*; RangeError for bad threads
 */
export function loadEngineHere(device: 'cpu' | 'cuda', threads: number, environment: NodeJS.ProcessEnv): Engine {
  Object.assign(environment, engineEnvironment({ device, threads }));
  return loadEngine({
    device,
    threads,
    directory: engineDirectory(device, environment),
    graphs: graphDirectory(environment),
  });
}
