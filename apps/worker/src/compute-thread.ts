/** The compute thread: carries out one request after another. It blocks while it computes; nobody waits on it for I/O. */
import { parentPort, workerData } from 'node:worker_threads';
import { failureOf } from '@lockstep/config';
import { loadEngine } from '@lockstep/engine';
import { openArena } from './arena.js';
import type { ComputeReply, ComputeRequest, ComputeSetup } from './compute.js';
import { Trainer } from './trainer.js';

// This module is loaded by compute.ts alone, which passes a ComputeSetup and posts ComputeRequests.
const setup = workerData as ComputeSetup;
let trainer: Trainer | null = null;

function initialised(): Trainer {
  if (trainer === null) throw new Error('a request came before initialise');
  return trainer;
}

function handle(request: ComputeRequest): ComputeReply {
  switch (request.kind) {
    case 'initialise': {
      const engine = loadEngine({ device: setup.device, threads: setup.threads, directory: setup.engineDirectory });
      trainer = new Trainer(engine, request.settings, openArena(request.buffers));
      return { kind: 'initialised', probe: trainer.probe(), engine: JSON.stringify(engine.identity) };
    }
    case 'compute': {
      const started = performance.now();
      const summary = initialised().compute(request.step, request.microbatch);
      return {
        kind: 'computed',
        step: request.step,
        microbatch: request.microbatch,
        ...summary,
        milliseconds: performance.now() - started,
      };
    }
    case 'fold':
      initialised().fold(request.contribute, request.exponents);
      return { kind: 'folded', generation: request.generation };
    case 'apply':
      initialised().apply(request.step, request.exponents);
      return { kind: 'applied', step: request.step };
    default:
      return request satisfies never;
  }
}

parentPort?.on('message', (request: ComputeRequest) => {
  let reply: ComputeReply;
  try {
    reply = handle(request);
  } catch (error) {
    reply = { kind: 'failed', ...failureOf(error) };
  }
  parentPort?.postMessage(reply);
});
