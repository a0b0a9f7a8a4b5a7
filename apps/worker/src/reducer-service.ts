/** What runs in the reducer thread: integer sum of gradients, digest of the state. No engine is loaded here. */
import { stateDigest } from '@lockstep/checkpoint';
import { parameterTable, recipeOf, type ParameterTable } from '@lockstep/diffusion';
import { openArena, type Arena } from './arena.js';
import { changedInMemory, checksumOf, stateChecksums } from './checksum.js';
import { sumGradients, type Summand } from './exact-sum.js';
import type { ReducerReply, ReducerRequest, ReducerSetup } from './reducer.js';

type Told<K extends ReducerRequest['kind']> = Extract<ReducerRequest, { kind: K }>;

export class Reducer {
  private readonly arena: Arena;
  private readonly table: ParameterTable;
  private readonly microbatches: number;

  /** @throws DiffusionError E_PRESET, E_MODEL_CONFIG */
  constructor({ settings, buffers }: Omit<ReducerSetup, 'trace'>) {
    const { model, globalBatch, microbatchSize } = recipeOf(settings);
    this.arena = openArena(buffers);
    this.table = parameterTable(model);
    this.microbatches = globalBatch / microbatchSize;
  }

  /** @throws FixedPointError E_FIXEDPOINT_* */
  handle(request: ReducerRequest): ReducerReply {
    switch (request.kind) {
      case 'digest':
        return {
          kind: 'digested',
          step: request.step,
          digest: stateDigest({ step: request.step, ...this.arena.state }),
          checksums: stateChecksums(this.arena.state),
        };
      case 'check':
        return this.changedWeights(request) ?? { kind: 'checked' };
      case 'fold':
        return this.fold(request);
      default:
        return request satisfies never;
    }
  }

  /** The reply that the weights of state `step` are not what they were; null if they are. */
  private changedWeights({ step, weightsCrc }: Pick<Told<'check'>, 'step' | 'weightsCrc'>): ReducerReply | null {
    const now = checksumOf(this.arena.state.weights);
    if (now === weightsCrc) return null;
    return { kind: 'corrupt', what: changedInMemory(`the weights of state ${step}`, weightsCrc, now) };
  }

  private fold({ generation, step, weightsCrc, gradients, exponents }: Told<'fold'>): ReducerReply {
    const changed = this.changedWeights({ step, weightsCrc });
    if (changed !== null) return changed;
    const summands: Summand[] = [];
    for (const { microbatch, buffer, crc, exponents: own } of gradients) {
      const gradient = new Float32Array(buffer);
      const now = checksumOf(gradient);
      if (now !== crc) {
        const what = changedInMemory(`the gradient of microbatch ${microbatch} of step ${step}`, crc, now);
        return { kind: 'corrupt', what };
      }
      summands.push({ values: gradient, exponents: Int16Array.from(own) });
    }
    sumGradients(this.arena.sum, summands, this.table, Int16Array.from(exponents), this.microbatches);
    return { kind: 'folded', generation };
  }
}
