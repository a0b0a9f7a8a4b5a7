/**
 * What runs in the compute thread: it carries out one request after another, and blocks while it computes; nobody waits on
 * it for I/O. Importing this file does nothing, so that a test's thread can serve a Training of its own.
 */
import { workerData } from 'node:worker_threads';
import { openTrace, type Trace } from '@lockstep/checkpoint';
import type { RunSettings } from '@lockstep/comm';
import { loadEngine, type Engine } from '@lockstep/engine';
import { openArena, type Arena } from './arena.js';
import { changedInMemory, digestOf } from './checksum.js';
import type { ComputedReply, ComputeReply, ComputeRequest, ComputeSetup } from './compute.js';
import { describeEngine } from './engine-description.js';
import { passesFor } from './native-passes.js';
import type { Passes } from './passes.js';
import { serve } from './service-thread.js';
import { Trainer, type Training } from './trainer.js';

export type MakeTraining = (
  engine: Engine,
  settings: RunSettings,
  arena: Arena,
  passes: Passes,
  trace: Trace,
) => Training;

type Serving = { readonly training: Training; readonly trace: Trace };

/** The production Training. */
export const makeTrainer: MakeTraining = (engine, settings, arena, passes, trace) =>
  new Trainer(engine, settings, arena, { passes, trace });

/** Answers the requests of the I/O thread. Call it once, in a thread that `startCompute` started. */
export function serveCompute(makeTraining: MakeTraining): void {
  // `startCompute` alone starts such a thread, with a ComputeSetup, and posts ComputeRequests.
  const setup = workerData as ComputeSetup;
  const trace = openTrace(setup.trace, 'compute');
  let serving: Serving | null = null;
  serve((request: ComputeRequest): ComputeReply | null => {
    if (request.kind === 'initialise') {
      const { device, threads, engineDirectory: directory, graphDirectory: graphs } = setup;
      const engine = loadEngine({ device, threads, directory, ...(graphs === undefined ? {} : { graphs }) });
      const arena = openArena(request.buffers);
      const passes = passesFor(request.settings, setup.engineDirectory);
      const training = makeTraining(engine, request.settings, arena, passes, trace);
      serving = { training, trace };
      return {
        kind: 'initialised',
        marks: passes.marks(arena),
        probe: training.probe(),
        engine: describeEngine(engine.identity),
      };
    }
    if (serving === null) throw new Error('a request came before initialise');
    return answer(serving, request);
  }, trace);
}

function answer(serving: Serving, request: Exclude<ComputeRequest, { kind: 'initialise' }>): ComputeReply | null {
  const { training, trace } = serving;
  switch (request.kind) {
    case 'compute':
      return computed(serving, request);
    case 'prepare':
      training.prepare(request.step, request.microbatches);
      return null;
    case 'apply': {
      const { step, exponents, skip, digest } = request;
      const { found, left } = trace.timed('apply', () => training.apply(step, exponents, skip), { step });
      if (found !== digest) return { kind: 'corrupt', what: changedInMemory(`state ${step}`, digest, found) };
      return { kind: 'applied', step, marks: left };
    }
    default:
      return request satisfies never;
  }
}

function computed(
  { training }: Serving,
  { step, microbatch, digest }: Extract<ComputeRequest, { kind: 'compute' }>,
): ComputedReply {
  const started = performance.now();
  const processor = process.cpuUsage();
  const { values, exponents, checksum, loss, samples } = training.compute(step, microbatch);
  const gradientDigest = digest ? digestOf(values) : null;
  const { user, system } = process.cpuUsage(processor);
  return {
    kind: 'computed',
    step,
    microbatch,
    buffer: values.buffer,
    checksum,
    loss,
    exponents: [...exponents],
    samples,
    digest: gradientDigest,
    milliseconds: performance.now() - started,
    cpuMilliseconds: (user + system) / 1000,
  };
}
