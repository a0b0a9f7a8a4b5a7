export { step as coordinatorStep } from './core.js';
export { initialState as initialCoordinatorState } from './state.js';
export type {
  Durable,
  Effect as CoordinatorEffect,
  Event as CoordinatorEvent,
  Note,
  Outcome,
  Recovered,
  Settings,
  State as CoordinatorState,
  WorkerView,
} from './state.js';
export type { Report, Status } from './server.js';
export { TIERS_FROM } from './topology.js';
