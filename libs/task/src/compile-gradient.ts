/** A gradient function as the engine runs it. */
import { compile, type Compiled, type Engine } from '@lockstep/engine';
import type { GradientFunction } from './task.js';

/** Compiles it, or takes its graph from disk where the task names it. @throws what `compile` and the function throw */
export function compileGradient(engine: Engine, { fn, specs, identity, stages }: GradientFunction): Compiled {
  return compile(engine, fn, specs, {
    ...(identity === undefined ? {} : { identity }),
    ...(stages === undefined ? {} : { stages }),
  });
}
