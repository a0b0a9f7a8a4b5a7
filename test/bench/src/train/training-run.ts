/** One run of the benchmarks' network by real processes on this machine, watched through the coordinator's log. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { RunSettings } from '@lockstep/comm';
import { NETWORK_FLAGS } from '../peers/compared-network.js';
import { Disturbed, assertEndedWell, assertNobodyLost, type Ended } from '../result/disturbed.js';

const PROGRAMS = {
  coordinator: fileURLToPath(import.meta.resolve('@lockstep/coordinator/main')),
  worker: fileURLToPath(import.meta.resolve('@lockstep/worker/main')),
};
type App = keyof typeof PROGRAMS;

/** Where a process runs: what stands before its command (taskset, ip netns exec, ...), and the address it has there. */
export interface Place {
  readonly before: readonly string[];
  readonly host: string;
}
export const HERE: Place = { before: [], host: '127.0.0.1' };

/** A worker's, with the worker's name. */
export interface WorkerPlace extends Place {
  readonly name: string;
}

/** A place on one core of this machine. */
export const onCore = (core: number): Place => ({ before: ['taskset', '-c', String(core)], host: '127.0.0.1' });

/** Processes of runs under way: none may outlive this one. */
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

export interface Job {
  readonly steps: number;
  /** Of a step, over all workers. */
  readonly microbatches: number;
  readonly microbatchSize: number;
  readonly wire?: RunSettings['wire'];
  readonly workers: readonly WorkerPlace[];
  /** The coordinator's place. */
  readonly coordinator?: Place;
  /** Engines are loaded then. */
  readonly onFirstCommit?: () => void;
  /** After each commit. */
  readonly onCommit?: () => void;
}

export interface Commit {
  /** Seconds. */
  readonly at: number;
  readonly ringSeconds: number;
  readonly ringBytes: number;
}

export interface Trained {
  readonly commits: readonly Commit[];
  readonly digest: string;
  /** Stragglers and why. */
  readonly named: readonly string[];
}

/** The processes of a run. */
class Processes {
  private readonly children: ChildProcess[] = [];
  /** The first that ended though it should not have. */
  early: (Ended & { readonly name: string }) | null = null;

  start(app: App, { before }: Place, args: readonly string[]): Readable {
    const [command, ...rest] = [...before, process.execPath, PROGRAMS[app], ...args];
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.children.push(child);
    running.add(child);
    child.on('exit', (code, signal) => {
      if (code === 0) return;
      this.early ??= { name: app, code, signal };
      // Without it the others would wait for ever.
      this.kill();
    });
    return child.stdout;
  }

  kill(): void {
    for (const child of this.children) {
      child.kill('SIGKILL');
      running.delete(child);
    }
  }
}

/** What the coordinator's log says. */
class Watched {
  readonly commits: Commit[] = [];
  readonly named = new Set<string>();
  readonly lines: string[] = [];
  digest = '';

  constructor(private readonly job: Job) {}

  take(line: string): void {
    this.lines.push(line);
    const straggler = /note=straggler worker=(\S+) reason="([^"]*)"/.exec(line);
    if (straggler !== null) this.named.add(`${straggler[1]}: ${straggler[2]}`);
    if (!line.includes('note=committed')) return;
    if (this.commits.length === 0) this.job.onFirstCommit?.();
    const number = (key: string): number => Number(new RegExp(`${key}=([\\d.e+-]+)`).exec(line)?.[1]);
    this.commits.push({
      at: performance.now() / 1000,
      ringSeconds: number('ringMilliseconds') / 1000,
      ringBytes: number('ringBytes'),
    });
    this.digest = /digest=([0-9a-f]{64})/.exec(line)?.[1] ?? this.digest;
    this.job.onCommit?.();
  }

  /** The last lines. */
  get lastWords(): string {
    return this.lines.slice(-8).join('\n');
  }
}

/**
 * Trains until `steps` are committed.
 *
 * @throws Disturbed if a process ends that should not, or a worker is lost; the run's last lines are in the message
 */
export async function trainingRun(job: Job): Promise<Trained> {
  const { steps, microbatches, microbatchSize, wire = 'int32', workers, coordinator = HERE } = job;
  const out = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  const processes = new Processes();
  const watched = new Watched(job);
  try {
    const log = processes.start('coordinator', coordinator, [
      ...['--out', out, '--host', coordinator.host, '--port', '0', '--steps', String(steps)],
      ...NETWORK_FLAGS,
      ...['--global-batch', String(microbatches * microbatchSize), '--microbatch-size', String(microbatchSize)],
      ...['--wire', wire, '--log-level', 'debug'],
      // No checkpoint but the last: how the disk does is not what is measured.
      ...['--min-workers', String(workers.length), '--checkpoint-every', String(steps)],
    ]);
    for await (const line of createInterface({ input: log })) {
      watched.take(line);
      const port = /listening on [\d.]+:(\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      for (const worker of workers) {
        const at = ['--name', worker.name, '--host', worker.host, '--advertise-host', worker.host];
        processes.start('worker', worker, [...at, '--coordinator', `ws://${coordinator.host}:${port}`]).resume();
      }
    }
    const { early } = processes;
    const { commits, digest, named, lines, lastWords } = watched;
    if (early !== null) assertEndedWell(`a ${early.name}`, early, lastWords);
    assertNobodyLost(lines.join('\n'));
    if (commits.length < steps)
      throw new Disturbed(`the run ended after ${commits.length} of ${steps} steps:\n${lastWords}`);
    return { commits, digest, named: [...named] };
  } finally {
    processes.kill();
    rmSync(out, { recursive: true, force: true });
  }
}

/** Seconds of each step after the first `skipped`, in which engines warm up and speeds are learnt. */
export function stepSeconds({ commits }: Pick<Trained, 'commits'>, skipped: number): number[] {
  return commits.slice(skipped + 1).map(({ at }, index) => at - commits[skipped + index].at);
}
