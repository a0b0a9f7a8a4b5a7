/**
 * The tensors of a run, as the worker's edge has them: memory that its threads share, sums and checks on the I/O thread, gradients
 * and updates on the compute thread.
 */
import { setImmediate as otherWork } from 'node:timers/promises';
import type { RunSettings } from '@lockstep/comm';
import { initialState, parameterCount } from '@lockstep/task';
import { allocateArena, copyState, openArena, type Arena } from './arena.js';
import { bucketsOf, type Buckets } from './buckets.js';
import { startCompute, type ComputeReply, type ComputeRequest, type ComputeSetup } from './compute.js';
import { sumFormOf } from './exact-sum.js';
import { passesFor } from './native-passes.js';
import type { SumPasses } from './passes.js';
import { taskHere } from './run-here.js';

/** Answers requests in order; one that is replied to is in flight at a time (core.ts sees to that). */
export interface ComputeThread {
  request(request: ComputeRequest): void;
  /** From now on the process may end while the thread stands. */
  release(): void;
}

export interface RunEngine {
  /** Numbers of a state array. */
  readonly parameters: number;
  readonly buckets: Buckets;
  /** Holds state 0 of the seed. */
  readonly arena: Arena;
  readonly passes: SumPasses;
  /** Lets others have their turn on this thread, between two pieces of a long work. */
  readonly pause: () => Promise<unknown>;
  readonly thread: ComputeThread;
}

/**
 * Opens what `settings` asks for, and has the compute thread make itself ready, to which it then replies.
 * @param halted see ComputeRequest
 */
export type OpenEngine = (
  settings: RunSettings,
  halted: Int32Array<SharedArrayBuffer>,
  onReply: (reply: ComputeReply) => void,
) => Promise<RunEngine>;

/** TensorFlow's. Rejects with E_TASK_CODE and others where the run's task is not to be had here. */
export function engineWith(setup: ComputeSetup): OpenEngine {
  return async (settings, halted, onReply) => {
    const { task } = await taskHere(settings);
    const parameters = parameterCount(task.table);
    const buffers = allocateArena(parameters);
    const arena = openArena(buffers);
    copyState(initialState(task, settings.seed), arena.state);
    const passes = passesFor(task.table, sumFormOf(settings, task), settings.arithmetic, setup.engineDirectory);
    const thread = startCompute(setup, onReply);
    thread.request({ kind: 'initialise', settings, buffers, halted: halted.buffer });
    return { parameters, buckets: bucketsOf(task), arena, passes, pause: otherWork, thread };
  };
}
