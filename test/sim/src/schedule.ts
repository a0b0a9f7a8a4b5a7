/** One simulated run with faults drawn from its seed, and what must be true of it. */
import { Cluster, HEARTBEAT_TIMEOUT_MS, MICROBATCHES, STEPS } from './cluster.js';
import { CoordinatorNode } from './coordinator-node.js';
import { undisturbed } from './numerics.js';
import { WorkerNode } from './worker-node.js';
import { World } from './world.js';

/** Faults happen in this much virtual time; then the run must end by itself. Milliseconds. */
const FAULTS_UNTIL_MS = 6_000;
/** Far more than the slowest healthy run takes after the last fault. Milliseconds. */
const DEADLINE_MS = 120_000;
const MOST_WORKERS = 5;

export interface Result {
  readonly seed: number;
  /** Empty if all is well. */
  readonly violations: readonly string[];
  readonly transcript: readonly string[];
  /** Virtual time that the run took, ms. */
  readonly duration: number;
  readonly faults: number;
}

const truth = undisturbed(STEPS, MICROBATCHES);

/** Runs the schedule of `seed`. Equal seeds give equal transcripts. */
export function runSchedule(seed: number): Result {
  const world = new World(seed);
  const cluster = new Cluster(world, truth);
  const { random } = world;
  let names = 0;
  let faults = 0;
  const start = (): WorkerNode => new WorkerNode(`w${names++}`, cluster);

  new CoordinatorNode(cluster);
  const initial = 1 + Math.floor(random.unit() * 3);
  for (let index = 0; index < initial; index++) world.after(random.between(0, 300), start);

  const restartCoordinator = (): void => {
    cluster.coordinator?.crash();
    world.after(random.between(10, 1_500), () => new CoordinatorNode(cluster));
  };
  const actions: (() => void)[] = [
    () => victim()?.crash(),
    () => victim()?.freeze(random.between(100, 4 * HEARTBEAT_TIMEOUT_MS)),
    () => victim()?.blackhole(),
    () => {
      const node = victim();
      if (node !== undefined) node.slowness = random.between(1, 8);
    },
    () => {
      if (cluster.workers.size < MOST_WORKERS) start();
    },
    () => {
      if (cluster.coordinator?.alive === true) restartCoordinator();
    },
    () => cluster.coordinator?.freeze(random.between(100, 3 * HEARTBEAT_TIMEOUT_MS)),
    () => {
      for (const node of [...cluster.workers]) node.crash();
    },
    () => {
      for (const node of [...cluster.workers]) node.crash();
      if (cluster.coordinator?.alive === true) restartCoordinator();
    },
    () => {
      cluster.slowness = random.between(1, 120);
    },
  ];
  const victim = (): WorkerNode | undefined =>
    cluster.workers.size === 0 ? undefined : random.pick([...cluster.workers]);
  const count = Math.floor(random.unit() * 7);
  for (let index = 0; index < count; index++) {
    world.after(random.between(50, FAULTS_UNTIL_MS), () => {
      faults += 1;
      random.pick(actions)();
    });
  }
  // Whatever happened, somebody is there to finish the run, on a network that works.
  world.after(FAULTS_UNTIL_MS + 10, () => {
    cluster.slowness = 10;
    for (const node of cluster.workers) node.slowness = 1;
    start();
  });

  const ended = world.run(DEADLINE_MS);
  const violations = [...cluster.violations];
  if (violations.length === 0) {
    if (!ended) violations.push(`the run stands still at step ${cluster.disk.entries.length}`);
    else if (cluster.outcome?.startsWith('complete') !== true)
      violations.push(`the run ended: ${cluster.outcome ?? 'nowhere'}`);
    else if (cluster.disk.entries.length !== STEPS)
      violations.push(`${cluster.disk.entries.length} of ${STEPS} steps are in the ledger`);
    else if (cluster.disk.checkpoint?.step !== STEPS) violations.push('the last checkpoint is missing');
  }
  return { seed, violations, transcript: world.transcript, duration: world.now, faults };
}
