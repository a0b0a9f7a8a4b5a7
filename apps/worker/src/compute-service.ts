/**
 * What runs in the compute thread: it carries out one request after another, and blocks while it computes; nobody waits on
 * it for I/O. Importing this file does nothing, so that a test's thread can serve a Training of its own.
 */
import { workerData } from 'node:worker_threads';
import { openTrace, type Trace } from '@lockstep/checkpoint';
import { tensorExponents, type RunSettings } from '@lockstep/comm';
import { loadEngine, type Engine } from '@lockstep/engine';
import { openArena, type Arena } from './arena.js';
import { changedInMemory, checksumOf, digestOf, stateChecksums } from './checksum.js';
import type { ComputedReply, ComputeReply, ComputeRequest, ComputeSetup } from './compute.js';
import { describeEngine } from './engine-description.js';
import { serve } from './service-thread.js';
import { Trainer, type Training } from './trainer.js';

export type MakeTraining = (engine: Engine, settings: RunSettings, arena: Arena, trace: Trace) => Training;

type Serving = { readonly training: Training; readonly arena: Arena; readonly trace: Trace };

/** The production Training. */
export const makeTrainer: MakeTraining = (engine, settings, arena, trace) =>
  new Trainer(engine, settings, arena, trace);

/** Answers the requests of the I/O thread. Call it once, in a thread that `startCompute` started. */
export function serveCompute(makeTraining: MakeTraining): void {
  // `startCompute` alone starts such a thread, with a ComputeSetup, and posts ComputeRequests.
  const setup = workerData as ComputeSetup;
  const trace = openTrace(setup.trace, 'compute');
  let serving: Serving | null = null;
  serve((request: ComputeRequest): ComputeReply => {
    if (request.kind === 'initialise') {
      const engine = loadEngine({ device: setup.device, threads: setup.threads, directory: setup.engineDirectory });
      const arena = openArena(request.buffers);
      const training = makeTraining(engine, request.settings, arena, trace);
      serving = { training, arena, trace };
      return { kind: 'initialised', probe: training.probe(), engine: describeEngine(engine.identity) };
    }
    if (serving === null) throw new Error('a request came before initialise');
    return answer(serving, request);
  }, trace);
}

function answer(serving: Serving, request: Exclude<ComputeRequest, { kind: 'initialise' }>): ComputeReply {
  const { training, arena, trace } = serving;
  switch (request.kind) {
    case 'compute':
      return computed(serving, request);
    case 'apply': {
      const { step, exponents, skip, stateCrc } = request;
      const now = trace.timed('check', () => stateChecksums(arena.state).whole);
      if (now !== stateCrc) return { kind: 'corrupt', what: changedInMemory(`state ${step}`, stateCrc, now) };
      trace.timed('apply', () => training.apply(step, exponents, skip), { step });
      return { kind: 'applied', step };
    }
    default:
      return request satisfies never;
  }
}

function computed(
  { training, trace }: Serving,
  { step, microbatch, digest }: Extract<ComputeRequest, { kind: 'compute' }>,
): ComputedReply {
  const started = performance.now();
  const processor = process.cpuUsage();
  const { values, loss, samples } = training.compute(step, microbatch);
  const summary = trace.timed('describe', () => ({
    buffer: values.buffer,
    crc: checksumOf(values),
    loss,
    exponents: Array.from(tensorExponents(values, training.table)),
    samples,
    digest: digest ? digestOf(values) : null,
  }));
  const { user, system } = process.cpuUsage(processor);
  return {
    kind: 'computed',
    step,
    microbatch,
    ...summary,
    milliseconds: performance.now() - started,
    cpuMilliseconds: (user + system) / 1000,
  };
}
