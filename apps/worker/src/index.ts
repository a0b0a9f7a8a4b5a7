export { initialState as initialWorkerState } from './decide/state.js';
export type {
  Effect as WorkerEffect,
  Event as WorkerEvent,
  HeldGradient,
  State as WorkerState,
  SumName as WorkerSumName,
  Wanted as WantedGradient,
} from './decide/state.js';
export { TrainingWorker, type Ending, type WorkerIdentity } from './edge/worker.js';
export type { DataPlane, WorkerPorts } from './edge/ports.js';
export type { ComputeThread, OpenEngine, RunEngine } from './compute/engine.js';
export { allocateArena, openArena, type Arena } from './compute/arena.js';
export { cut, type Bucket, type Buckets } from './compute/buckets.js';
export type { ComputeReply, ComputeRequest } from './compute/compute.js';
export type { BucketMarks, StateMarks, SumPasses } from './compute/passes.js';
