/** What runs in the reducer thread: integer sum of gradients, checks of memory. No engine is loaded here. */
import { openArena, type Arena } from './arena.js';
import { changedInMemory } from './checksum.js';
import type { Summand } from './exact-sum.js';
import { passesFor } from './native-passes.js';
import type { Passes } from './passes.js';
import type { ReducerReply, ReducerRequest, ReducerSetup } from './reducer.js';

type Told<K extends ReducerRequest['kind']> = Extract<ReducerRequest, { kind: K }>;

export class Reducer {
  private readonly arena: Arena;
  private readonly passes: Passes;

  /** @throws DiffusionError E_PRESET, E_MODEL_CONFIG; EngineError E_ENGINE_MISSING, E_ENGINE_LOAD */
  constructor({ settings, buffers, engineDirectory }: Omit<ReducerSetup, 'trace'>) {
    this.arena = openArena(buffers);
    this.passes = passesFor(settings, engineDirectory);
  }

  /** @throws FixedPointError E_FIXEDPOINT_* */
  handle(request: ReducerRequest): ReducerReply {
    switch (request.kind) {
      case 'mark':
        return { kind: 'marked', marks: this.passes.marks(this.arena) };
      case 'check':
        return this.changedWeights(request) ?? { kind: 'checked' };
      case 'fold':
        return this.fold(request);
      default:
        return request satisfies never;
    }
  }

  /** The reply that the weights of state `step` are not what they were; null if they are. */
  private changedWeights({ step, weights }: Pick<Told<'check'>, 'step' | 'weights'>): ReducerReply | null {
    const now = this.passes.checksum(this.arena.state.weights);
    if (now === weights) return null;
    return { kind: 'corrupt', what: changedInMemory(`the weights of state ${step}`, weights, now) };
  }

  private fold({ generation, step, weights, gradients, exponents }: Told<'fold'>): ReducerReply {
    const changed = this.changedWeights({ step, weights });
    if (changed !== null) return changed;
    const summands = gradients.map(({ buffer, exponents: own }): Summand => ({
      values: new Float32Array(buffer),
      exponents: Int16Array.from(own),
    }));
    const found = this.passes.fold(this.arena.sum, summands, Int16Array.from(exponents));
    for (const [place, { microbatch, checksum }] of gradients.entries()) {
      if (found[place] === checksum) continue;
      const what = `the gradient of microbatch ${microbatch} of step ${step}`;
      return { kind: 'corrupt', what: changedInMemory(what, checksum, found[place]) };
    }
    return { kind: 'folded', generation };
  }
}
