/**
 * What runs in the compute thread: it carries out one request after another, and blocks while it computes; nobody waits on
 * it for I/O. Importing this file does nothing, so that a test's thread can serve a Training of its own.
 */
import { workerData } from 'node:worker_threads';
import { openTrace, type Trace } from '@lockstep/run';
import { loadEngine, type Engine } from '@lockstep/engine';
import { openArena, type Arena } from './arena.js';
import { changedInMemory } from './changed-memory.js';
import { digestOf } from './gradient-digest.js';
import type { ComputedReply, ComputeReply, ComputeRequest, ComputeSetup } from './compute.js';
import { describeEngine } from './engine-description.js';
import { sumFormOf } from './exact-sum.js';
import { passesFor } from './native-passes.js';
import type { Passes } from './passes.js';
import { isUsers, runHere, type RunHere } from './run-here.js';
import { serve } from './service-thread.js';
import type { Wanted } from '../decide/state.js';
import { Trainer, type OnEarly, type Training } from './trainer.js';

export type MakeTraining = (engine: Engine, run: RunHere, arena: Arena, passes: Passes, trace: Trace) => Training;

interface Serving {
  readonly training: Training;
  readonly trace: Trace;
  /** Whether gradients of this request may be begun. */
  readonly goesOn: (job: number) => boolean;
}

type Reply = (reply: ComputeReply) => void;
type Of<K extends ComputeRequest['kind']> = Extract<ComputeRequest, { kind: K }>;

/** The production Training. */
export const makeTrainer: MakeTraining = (engine, run, arena, passes, trace) =>
  new Trainer(engine, run, arena, { passes, trace });

/** Answers the requests of the I/O thread. Call it once, in a thread that `startCompute` started. */
export function serveCompute(makeTraining: MakeTraining): void {
  // `startCompute` alone starts such a thread, with a ComputeSetup, and posts ComputeRequests.
  const setup = workerData as ComputeSetup;
  const trace = openTrace(setup.trace, 'compute');
  let serving: Serving | null = null;
  const initialise = async ({ settings, buffers, halted }: Of<'initialise'>, reply: Reply): Promise<void> => {
    const { device, threads, kernels, engineDirectory: directory, graphDirectory: graphs } = setup;
    const engine = loadEngine({
      device,
      threads,
      directory,
      engine: settings.engine,
      ...(kernels === undefined ? {} : { kernels }),
      ...(graphs === undefined ? {} : { graphs }),
    });
    const run = await runHere(settings);
    const arena = openArena(buffers);
    const passes = passesFor(run.task.table, sumFormOf(run, run.task), run.arithmetic, directory);
    const training = makeTraining(engine, run, arena, passes, trace);
    if (isUsers(settings)) training.try();
    const upTo = new Int32Array(halted);
    serving = { training, trace, goesOn: (job) => Atomics.load(upTo, 0) < job };
    const [marks, probe] = [passes.marks(arena), training.probe()];
    reply({ kind: 'initialised', marks, probe, engine: describeEngine(engine.identity) });
  };
  serve((request: ComputeRequest, reply: Reply) => {
    if (request.kind === 'initialise') return initialise(request, reply);
    if (serving === null) throw new Error('a request came before initialise');
    answer(serving, request, reply);
    return undefined;
  }, trace);
}

function answer(serving: Serving, request: Exclude<ComputeRequest, Of<'initialise'>>, reply: Reply): void {
  const { training, trace } = serving;
  switch (request.kind) {
    case 'compute':
      compute(serving, request.step, request.wanted, request.job, reply);
      break;
    case 'prepare':
      training.prepare(request.step, request.microbatches);
      break;
    case 'apply': {
      const { step, exponents, skip, digest, then, job } = request;
      const { found, left } = trace.timed('apply', () => training.apply(step, exponents, skip), { step });
      if (found !== digest) {
        reply({ kind: 'corrupt', what: changedInMemory(`state ${step}`, digest, found) });
        return;
      }
      const goesOn = then.length > 0 && serving.goesOn(job);
      reply({ kind: 'applied', step, marks: left, goesOn });
      if (goesOn) compute(serving, step + 1, then, job, reply);
      break;
    }
    default:
      request satisfies never;
  }
}

function compute(serving: Serving, step: number, wanted: readonly Wanted[], job: number, reply: Reply): void {
  for (const [place, one] of wanted.entries()) {
    const isLast = place + 1 === wanted.length;
    const onEarly: OnEarly = ({ buffer }, early) => {
      reply({ kind: 'early', step, microbatch: one.microbatch, buffer, early });
    };
    const computed = computedOf(serving.training, step, one, isLast ? onEarly : undefined);
    const goesOn = !isLast && serving.goesOn(job);
    reply({ ...computed, goesOn });
    if (!goesOn) return;
  }
}

function computedOf(
  training: Training,
  step: number,
  { microbatch, digest }: Wanted,
  onEarly: OnEarly | undefined,
): Omit<ComputedReply, 'goesOn'> {
  const started = performance.now();
  const processor = process.cpuUsage();
  const { values, early, late, loss, figures, samples } = training.compute(step, microbatch, onEarly);
  const gradientDigest = digest ? digestOf(values) : null;
  const { user, system } = process.cpuUsage(processor);
  return {
    kind: 'computed',
    step,
    microbatch,
    buffer: values.buffer,
    early,
    late,
    loss,
    figures,
    samples,
    digest: gradientDigest,
    milliseconds: performance.now() - started,
    cpuMilliseconds: (user + system) / 1000,
  };
}
