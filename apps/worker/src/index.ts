export { step as workerStep } from './core.js';
export { initialState as initialWorkerState } from './state.js';
export type {
  Effect as WorkerEffect,
  Event as WorkerEvent,
  HeldGradient,
  State as WorkerState,
  SumName as WorkerSumName,
  Task as WorkerTask,
} from './state.js';
