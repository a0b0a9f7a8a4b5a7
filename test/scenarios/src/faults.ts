/** All faults, in the order of the table. */
import { flipGradient, flipWeight } from './fault-bits.js';
import { clockSetBack } from './fault-clock.js';
import {
  killCoordinatorAndWorker,
  killCoordinatorMidCommit,
  killCoordinatorMidStep,
  killEverything,
} from './fault-coordinator.js';
import { checkpointDiskFull, killAtEachStage, ledgerDiskFull } from './fault-disk.js';
import { halfOpenControl, halfOpenRing, slowLink } from './fault-network.js';
import { slowWorker } from './fault-slow-worker.js';
import { freezeWorker, joinWorker, killAllWorkers, killWorker } from './fault-worker.js';
import type { Fault } from './fault.js';

export const FAULTS: readonly Fault[] = [
  killWorker,
  freezeWorker,
  clockSetBack,
  halfOpenControl,
  halfOpenRing,
  slowLink,
  slowWorker,
  joinWorker,
  killAllWorkers,
  killCoordinatorMidStep,
  killCoordinatorMidCommit,
  killCoordinatorAndWorker,
  killEverything,
  checkpointDiskFull,
  ledgerDiskFull,
  killAtEachStage,
  flipWeight,
  flipGradient,
];

/** For every change: one of each kind, below two minutes on two cores. */
export const QUICK_FAULTS: readonly Fault[] = [
  killWorker,
  clockSetBack,
  halfOpenRing,
  killCoordinatorMidCommit,
  killEverything,
  ledgerDiskFull,
  flipWeight,
  flipGradient,
];
