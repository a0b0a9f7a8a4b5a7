/** One simulated run with faults drawn from its seed, and what must be true of it. */
import { Cluster, HEARTBEAT_TIMEOUT_MS, MICROBATCHES, STEPS, type Options } from './cluster.js';
import { TIERS_FROM } from '@lockstep/coordinator';
import { CoordinatorNode } from './coordinator-node.js';
import { undisturbed } from './numerics.js';
import { WorkerNode, type Defect } from './worker-node.js';
import { Random, World } from './world.js';

/** Faults happen in this much virtual time; then the run must end by itself. Milliseconds. */
const FAULTS_UNTIL_MS = 6_000;
/** Far more than the slowest healthy run takes after the last fault. Milliseconds. */
const DEADLINE_MS = 120_000;
const MOST_WORKERS = 5;

export interface Result {
  readonly seed: number;
  /** Empty if all is well. */
  readonly violations: readonly string[];
  readonly transcript: () => readonly string[];
  /** Virtual time that the run took, ms. */
  readonly duration: number;
  readonly faults: number;
  /** How often the coordinator said what. */
  readonly notes: ReadonlyMap<string, number>;
}

/** Digests of an undisturbed run, by what becomes of gradients that are not finite. */
const truthsOf = (inOnePiece: boolean): Readonly<Record<Options['nonFinite'], readonly string[]>> => ({
  stop: undisturbed(STEPS, MICROBATCHES, false, inOnePiece),
  skip: undisturbed(STEPS, MICROBATCHES, true, inOnePiece),
});
const [inTwoBuckets, inOne] = [false, true].map(truthsOf);
/** Share of schedules in which workers have defects, and are not also killed: somebody sound must be left to tell. */
const DEFECTIVE_SHARE = 0.25;
/** Wall clocks are set so often in a schedule at most, and by so much, either way. */
const MOST_CLOCKS_SET = 4;
const MOST_SET_MS = 4 * 3_600_000;
/** A signal that a supervisor sends to all reaches each process in its own time. Milliseconds. */
const SIGNAL_SPREAD_MS = 60;
/** In one of so many schedules the gradients have no early bucket. */
const IN_ONE_PIECE_EVERY = 8;
/** In one of so many schedules the few workers form two tiers. */
const TIERED_EVERY = 3;
/** In one of so many schedules without defects workers are started under names that others have or had. */
const NAMESAKES_EVERY = 4;

/** Runs the schedule of `seed`. Equal seeds give equal transcripts. */
export async function runSchedule(seed: number): Promise<Result> {
  const world = new World(seed);
  const { random } = world;
  const defective = random.chance(DEFECTIVE_SHARE);
  // By the seed itself, so that the other schedules stay as they are.
  const tiersFrom = seed % TIERED_EVERY === 0 ? 1 : TIERS_FROM;
  const inOnePiece = seed % IN_ONE_PIECE_EVERY === IN_ONE_PIECE_EVERY - 1;
  const options: Options = defective
    ? { auditRate: 1, nonFinite: 'stop', minWorkers: 2, tiersFrom, inOnePiece }
    : {
        auditRate: random.pick([0, 0, 0.5, 1]),
        nonFinite: random.pick(['stop', 'stop', 'skip']),
        minWorkers: 1,
        tiersFrom,
        inOnePiece,
      };
  const truth = (inOnePiece ? inOne : inTwoBuckets)[options.nonFinite];
  const cluster = new Cluster(world, truth, options);
  if (inOnePiece) cluster.note('in-one-piece');
  let names = 0;
  let faults = 0;
  const start = (): WorkerNode => new WorkerNode(`w${names++}`, cluster);

  new CoordinatorNode(cluster);
  const initial = defective ? 2 + Math.floor(random.unit() * 3) : 1 + Math.floor(random.unit() * 4);
  for (let index = 0; index < initial; index++) world.after(random.between(0, 300), start);
  const victim = (): WorkerNode | undefined =>
    cluster.workers.size === 0 ? undefined : random.pick([...cluster.workers]);
  const others = defective ? defects(cluster, victim) : failures(cluster, victim, start);
  const actions = !defective && seed % NAMESAKES_EVERY === 0 ? [...others, ...namesakes(cluster, victim)] : others;
  const count = defective ? 1 : Math.floor(random.unit() * 7);
  for (let index = 0; index < count; index++) {
    world.after(random.between(50, FAULTS_UNTIL_MS), () => {
      faults += 1;
      random.pick(actions)();
    });
  }
  setClocks(cluster, new Random(~seed));
  // Whatever happened, somebody is there to finish the run, on a network that works.
  world.after(FAULTS_UNTIL_MS + 10, () => {
    cluster.slowness = 10;
    for (const node of cluster.workers) node.slowness = 1;
    start();
    start();
  });
  const ended = await world.run(DEADLINE_MS);
  const violations = [...cluster.violations];
  const { entries, checkpoints } = cluster.disk;
  if (violations.length === 0) {
    if (!ended) violations.push(`the run stands still at step ${entries.length}`);
    else if (cluster.outcome?.startsWith('complete') !== true)
      violations.push(`the run ended: ${cluster.outcome ?? 'nowhere'}`);
    else if (entries.length !== STEPS) violations.push(`${entries.length} of ${STEPS} steps are in the ledger`);
    else if (!checkpoints.some(({ step, digest }) => step === STEPS && digest === truth[STEPS]))
      violations.push('the last checkpoint is missing or wrong');
  }
  const { notes } = cluster;
  return { seed, violations, transcript: () => world.transcript(), duration: world.now, faults, notes };
}

/** `random` is a stream of its own: the other draws of a seed stay as they are. Half of the jumps are the coordinator's. */
function setClocks(cluster: Cluster, random: Random): void {
  const count = Math.floor(random.unit() * (MOST_CLOCKS_SET + 1));
  for (let index = 0; index < count; index++) {
    cluster.world.after(random.between(0, FAULTS_UNTIL_MS), () => {
      const { coordinator, workers } = cluster;
      const node = random.chance(0.5) || workers.size === 0 ? coordinator : random.pick([...workers]);
      node?.setClock(random.between(-MOST_SET_MS, MOST_SET_MS));
      cluster.notes.set('clock-set', (cluster.notes.get('clock-set') ?? 0) + 1);
    });
  }
}

/**
 * Runs the schedule of `seed` in which workers leave, alone or all at once, others come, checkpoints are asked for, and at last,
 * in every other one, everybody gets SIGTERM. No committed step may be done again, and the last one must be in a checkpoint.
 */
export async function runLeaving(seed: number): Promise<Result> {
  const world = new World(seed);
  const { random } = world;
  const options: Options = { auditRate: 0, nonFinite: 'stop', minWorkers: 1, tiersFrom: TIERS_FROM, inOnePiece: false };
  const cluster = new Cluster(world, inTwoBuckets.stop, options);
  let names = 0;
  let faults = 0;
  const start = (): WorkerNode => new WorkerNode(`w${names++}`, cluster);
  const leave = (): void => {
    for (const node of [...cluster.workers]) world.after(random.between(0, SIGNAL_SPREAD_MS), () => node.leave());
  };
  const coordinator = new CoordinatorNode(cluster);
  for (let index = 0; index < 1 + Math.floor(random.unit() * 3); index++) world.after(random.between(0, 300), start);
  const actions = [
    () => (cluster.workers.size === 0 ? undefined : random.pick([...cluster.workers]).leave()),
    leave,
    start,
    () => coordinator.signalled('checkpointRequested'),
  ];
  for (let index = 0; index < Math.floor(random.unit() * 5); index++)
    world.after(random.between(200, 1_500), () => {
      faults += 1;
      random.pick(actions)();
    });
  const stops = seed % 2 === 0;
  if (stops) {
    world.after(random.between(200, 1_800), () => {
      faults += 1;
      leave();
      world.after(random.between(0, SIGNAL_SPREAD_MS), () => coordinator.signalled('stopRequested'));
    });
  } else {
    world.after(2_000, start);
  }
  const ended = await world.run(DEADLINE_MS);
  const violations = [...cluster.violations];
  const { entries, checkpoints } = cluster.disk;
  const { notes, outcome } = cluster;
  const wanted = stops && entries.length < STEPS ? 'stopped' : 'complete';
  if (!ended) violations.push(`the run stands still at step ${entries.length}`);
  else if (outcome?.startsWith(wanted) !== true) violations.push(`the run ended: ${outcome ?? 'nowhere'}`);
  if (entries.length > 0 && !checkpoints.some(({ step }) => step === entries.length))
    violations.push(`step ${entries.length} is the last one, and no checkpoint has it`);
  if (notes.has('rolled-back')) violations.push('the run went back, though every worker left in order');
  return { seed, violations, transcript: () => world.transcript(), duration: world.now, faults, notes };
}

type Action = () => void;
type Victim = () => WorkerNode | undefined;

/** Crashes, pauses, networks: everything that is nobody's fault. */
function failures(cluster: Cluster, victim: Victim, start: Action): Action[] {
  const { world } = cluster;
  const { random } = world;
  const restartCoordinator = (): void => {
    const { coordinator } = cluster;
    if (coordinator?.alive !== true) return;
    coordinator.crash(random.chance(0.3));
    world.after(random.between(10, 1_500), () => new CoordinatorNode(cluster));
  };
  const killAll = (): void => {
    for (const node of [...cluster.workers]) node.crash();
  };
  const slow = (most: number): void => {
    const node = victim();
    if (node !== undefined) node.slowness = random.between(1, most);
  };
  return [
    () => victim()?.crash(),
    () => victim()?.freeze(random.between(100, 4 * HEARTBEAT_TIMEOUT_MS)),
    () => victim()?.cut(true, true),
    () => victim()?.cut(random.chance(0.5), random.chance(0.5)),
    () => victim()?.connectTwice(),
    () => {
      const node = victim();
      if (node !== undefined) cluster.ring.stall(node);
    },
    () => victim()?.leave(),
    () => {
      for (const node of [...cluster.workers]) node.leave();
    },
    () => cluster.coordinator?.signalled('checkpointRequested'),
    () => slow(8),
    () => slow(100),
    () => {
      if (cluster.workers.size < MOST_WORKERS) start();
    },
    restartCoordinator,
    () => cluster.coordinator?.freeze(random.between(100, 3 * HEARTBEAT_TIMEOUT_MS)),
    killAll,
    () => {
      for (const node of [...cluster.workers].slice(0, -1)) node.crash();
    },
    () => {
      killAll();
      restartCoordinator();
    },
    () => {
      victim()?.crash();
      restartCoordinator();
    },
    () => victim()?.flipWeights(),
    () => {
      cluster.slowness = random.between(1, 120);
    },
  ];
}

/** Two processes of one name: one after the other, whose death the coordinator may not have noticed yet; or at once. */
function namesakes(cluster: Cluster, victim: Victim): Action[] {
  const { world } = cluster;
  const { random } = world;
  const replace = (unnoticed: boolean): void => {
    const node = victim();
    if (node === undefined) return;
    if (unnoticed) node.cut(true, true);
    node.crash();
    world.after(random.between(0, HEARTBEAT_TIMEOUT_MS / 2), () => new WorkerNode(node.id, cluster));
  };
  const impostor = (): void => {
    const node = victim();
    if (node !== undefined && cluster.workers.size < MOST_WORKERS) new WorkerNode(node.id, cluster);
  };
  return [() => replace(false), () => replace(true), impostor, impostor];
}

/** Flipped bits, one worker's at a time. */
function defects(cluster: Cluster, victim: Victim): Action[] {
  const { random } = cluster.world;
  const strike = (kind: Defect['kind'], left: number): void => {
    const node = victim();
    if (node !== undefined) node.defect = { kind, left };
  };
  return [
    () => strike('gradient', 1),
    () => strike('gradient', random.pick([2, 3, Infinity])),
    () => strike('apply', 1),
    () => victim()?.flipWeights(),
  ];
}
