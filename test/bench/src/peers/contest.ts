/** Ours and the peer's variants, in turns. */
import { engineEnvironment } from '@lockstep/engine';
import { benchProgram, peerScript } from '../places.js';
import type { Peer } from '../result/result.js';
import { summary } from '../result/summary.js';
import { peerEnvironment, peerPython } from './peers.js';
import { Served, type Answer, type Hello } from './served.js';

/** Of our side among the contestants. */
export const OURS = 'ours';

/** Our side: a program of these benchmarks, on an engine of so many threads. */
export function ourSide(program: string, args: readonly (string | number)[], threads: number): Served {
  return new Served({
    name: OURS,
    command: process.execPath,
    args: [benchProgram(program), ...args.map(String)],
    threads,
    env: { ...process.env, ...engineEnvironment({ device: 'cpu', threads }) },
  });
}

interface PeerOptions {
  readonly variants: readonly string[];
  readonly images: number;
  readonly threads: number;
}

/** A process for each variant of a peer's script; none where no Python has the peers. */
export function peersOf(script: string, { variants, images, threads }: PeerOptions): Served[] {
  const python = peerPython();
  if (python === undefined) {
    console.error('no peers: npm run bench:peers installs them');
    return [];
  }
  const args = (variant: string): string[] => [peerScript(script), variant, String(images), String(threads)];
  const env = peerEnvironment();
  return variants.map((name) => new Served({ name, command: python, args: args(name), threads, env }));
}

/** What each said first, by name. */
export type Hellos = ReadonlyMap<string, Hello>;
/** What each said of its units of work, round by round, by name. */
export type Answers = ReadonlyMap<string, readonly Answer[]>;

/** Waits until all are ready. */
export async function greet(processes: readonly Served[]): Promise<Hellos> {
  const hellos = new Map<string, Hello>();
  for (const one of processes) hellos.set(one.name, await one.hello());
  return hellos;
}

/** What one of them said. */
export function saidBy<T>(all: ReadonlyMap<string, T>, name: string): T {
  const said = all.get(name);
  if (said === undefined) throw new Error(`${name} has said nothing`);
  return said;
}

export interface Turns {
  readonly rounds: number;
  /** Rounds before them that do not count. */
  readonly warmUp: number;
  readonly task?: string;
}

/**
 * Rounds in which each process, which has said hello, does `task` once; the order turns by one a round, so that nobody always follows the
 * same other.
 */
export async function takeTurns(processes: readonly Served[], { rounds, warmUp, task }: Turns): Promise<Answers> {
  const answers = new Map<string, Answer[]>(processes.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (let turn = 0; turn < processes.length; turn++) {
      const one = processes[(turn + round + warmUp) % processes.length];
      const answer = await one.run(task);
      if (round >= 0) answers.get(one.name)?.push(answer);
    }
  }
  return answers;
}

/** Does `work` with processes that have said hello, and ends them. */
export async function withProcesses<T>(processes: readonly Served[], work: (hellos: Hellos) => Promise<T>): Promise<T> {
  try {
    const result = await work(await greet(processes));
    for (const one of processes) await one.close();
    return result;
  } finally {
    for (const one of processes) one.kill();
  }
}

export const timesOf = (answers: readonly Answer[]): number[] => answers.map(({ ms }) => ms);

/** A peer's best variant. */
export interface Best {
  /** Its times, ms, by round. */
  readonly ms: readonly number[];
  /** What the table says of it. */
  readonly peer: Peer;
}

/** The variant with the least median. Null where there is no peer. */
export function bestOf(answers: Answers, hellos: Hellos): Best | null {
  const variants = [...answers]
    .filter(([name]) => name !== OURS)
    .map(([name, list]) => ({ name, ms: timesOf(list) }))
    .sort((a, b) => summary(a.ms).median - summary(b.ms).median);
  if (variants.length === 0) return null;
  const [{ name, ms }] = variants;
  const version = saidBy(hellos, name).version ?? 'of unknown version';
  return { ms, peer: { name: `PyTorch, ${name}`, version, ...summary(ms) } };
}
