/** One run of the benchmarks' network by real processes on this machine, watched through the coordinator's log. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Disturbed, assertEndedWell, assertNobodyLost } from './disturbed.mjs';
import { NETWORK_FLAGS } from './network.mjs';

const mainOf = (app) => fileURLToPath(new URL(`../../apps/${app}/dist/main.js`, import.meta.url));
/** Where a process runs: what stands before its command (taskset, ip netns exec, ...), and the address it has there. */
const HERE = { before: [], host: '127.0.0.1' };

/** Processes of runs under way: none may outlive this one. */
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** A place on one core of this machine. */
export const onCore = (core) => ({ before: ['taskset', '-c', String(core)], host: '127.0.0.1' });

/**
 * Trains until `steps` are committed.
 *
 * @param {object} run
 * @param {number} run.steps
 * @param {number} run.microbatches of a step, over all workers
 * @param {number} run.microbatchSize
 * @param {string} [run.wire] int32 or int16
 * @param {{name: string, before: string[], host: string}[]} run.workers the places of the workers
 * @param {{before: string[], host: string}} [run.coordinator]
 * @param {() => void} [run.onFirstCommit] engines are loaded then
 * @param {() => void} [run.onCommit] after each commit
 * @returns {Promise<{commits: {at: number, ringSeconds: number, ringBytes: number}[], digest: string, named: string[]}>}
 *   a commit's time in seconds; `named`: stragglers and why
 * @throws Disturbed if a process ends that should not, or a worker is lost; the run's last lines are in the message
 */
export async function trainingRun({
  steps,
  microbatches,
  microbatchSize,
  wire = 'int32',
  workers,
  coordinator = HERE,
  onFirstCommit,
  onCommit,
}) {
  const out = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  const children = [];
  let early = null;
  const start = (before, main, args) => {
    const [command, ...rest] = [...before, process.execPath, mainOf(main), ...args];
    const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    running.add(child);
    child.on('exit', (code, signal) => {
      if (code === 0) return;
      early ??= { name: main, code, signal };
      // Without it the others would wait for ever.
      children.forEach((other) => other.kill('SIGKILL'));
    });
    return child;
  };
  try {
    const lead = start(coordinator.before, 'coordinator', [
      ...['--out', out, '--host', coordinator.host, '--port', '0', '--steps', String(steps)],
      ...NETWORK_FLAGS,
      ...['--global-batch', String(microbatches * microbatchSize), '--microbatch-size', String(microbatchSize)],
      ...['--wire', wire, '--log-level', 'debug'],
      // No checkpoint but the last: how the disk does is not what is measured.
      ...['--min-workers', String(workers.length), '--checkpoint-every', String(steps)],
    ]);
    const commits = [];
    const named = new Set();
    const lines = [];
    let digest = null;
    for await (const line of createInterface({ input: lead.stdout })) {
      lines.push(line);
      const port = /listening on [\d.]+:(\d+)/.exec(line)?.[1];
      if (port !== undefined)
        for (const { name, before, host } of workers)
          start(before, 'worker', [
            ...['--name', name, '--host', host, '--advertise-host', host],
            ...['--coordinator', `ws://${coordinator.host}:${port}`],
          ]).stdout.resume();
      if (line.includes('note=committed')) {
        if (commits.length === 0) onFirstCommit?.();
        const number = (key) => Number(new RegExp(`${key}=([\\d.e+-]+)`).exec(line)?.[1]);
        commits.push({
          at: performance.now() / 1000,
          ringSeconds: number('ringMilliseconds') / 1000,
          ringBytes: number('ringBytes'),
        });
        digest = /digest=([0-9a-f]{64})/.exec(line)?.[1] ?? digest;
        onCommit?.();
      }
      const straggler = /note=straggler worker=(\S+) reason="([^"]*)"/.exec(line);
      if (straggler !== null) named.add(`${straggler[1]}: ${straggler[2]}`);
    }
    if (early !== null) assertEndedWell(`a ${early.name}`, early, lines.slice(-8).join('\n'));
    assertNobodyLost(lines.join('\n'));
    if (commits.length < steps)
      throw new Disturbed(`the run ended after ${commits.length} of ${steps} steps:\n${lines.slice(-8).join('\n')}`);
    return { commits, digest, named: [...named] };
  } finally {
    for (const child of children) {
      child.kill('SIGKILL');
      running.delete(child);
    }
    rmSync(out, { recursive: true, force: true });
  }
}

/** Seconds of each step after the first `skipped`, in which engines warm up and speeds are learnt. */
export function stepSeconds({ commits }, skipped) {
  return commits.slice(skipped + 1).map(({ at }, index) => at - commits[skipped + index].at);
}
