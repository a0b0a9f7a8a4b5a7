export { step as workerStep } from './decide/core.js';
export { initialState as initialWorkerState } from './decide/state.js';
export type {
  Effect as WorkerEffect,
  Event as WorkerEvent,
  HeldGradient,
  State as WorkerState,
  SumName as WorkerSumName,
  Task as WorkerTask,
} from './decide/state.js';
