export { monotonicMs, systemClocks, wallMs, type Clocks, type MonotonicMs, type WallMs } from './clocks.js';
export { Decisions, entryOf } from './decisions.js';
export { step as coordinatorStep } from './core.js';
export { nameTaken } from './membership.js';
export { initialState as initialCoordinatorState } from './state.js';
export type {
  Durable,
  Effect as CoordinatorEffect,
  Event as CoordinatorEvent,
  Happening as CoordinatorHappening,
  Note,
  Outcome,
  Recovered,
  Settings,
  State as CoordinatorState,
  WorkerView,
} from './state.js';
export type { Order } from './orders.js';
export type { Report, Status } from './server.js';
export { askedRun, type AskedRun } from './asked-run.js';
export { CoordinatorError } from './errors.js';
export { TIERS_FROM } from './topology.js';
