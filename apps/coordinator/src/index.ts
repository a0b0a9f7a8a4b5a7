export { monotonicMs, systemClocks, wallMs, type Clocks, type MonotonicMs, type WallMs } from './decide/clocks.js';
export { Decisions, entryOf } from './decide/decisions.js';
export { decide as decideAsCoordinator } from './decide/core.js';
export { warningCode } from './decide/note-code.js';
export { nameTaken } from './decide/membership.js';
export { initialState as initialCoordinatorState } from './decide/state.js';
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
} from './decide/state.js';
export type { Order } from './edge/orders.js';
export { Coordinator, type CoordinatorOptions } from './edge/coordinator.js';
export type { CoordinatorPorts, Door, RunLedger, Watcher } from './edge/ports.js';
export type { Publishing } from './edge/publisher.js';
export { describeMetrics, type MetricDescription } from './edge/metric-list.js';
export type { Report } from './edge/monitor.js';
export { statusSchema, type Status } from './status.js';
export { askedRun, type AskedRun } from './edge/asked-run.js';
export { CoordinatorError } from './errors.js';
export { groupsOf, TIERS_FROM } from './decide/topology.js';
