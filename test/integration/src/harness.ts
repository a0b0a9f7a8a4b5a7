/** Runs the real command line with real processes and sockets, in folders of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const CLI = fileURLToPath(new URL('../../../apps/cli/dist/main.js', import.meta.url));
/** A run that has not ended by then hangs, on the slowest machine too: the test fails with what it printed. Milliseconds. */
const RUN_LIMIT_MS = 30 * 60_000;
/**
 * Whom a busy machine gives no time for long is not lost: what a test kills is known to be dead by its sockets. Milliseconds.
 */
export const PATIENT_MS = 10 * 60_000;
/**
 * Of a run that loses all its workers: it looks for so long for one that still has the newest state. Who only gets no time is lost, too,
 * and comes back.
 */
export const IMPATIENT = ['--heartbeat-timeout-ms', '2000'];
/** More steps than the fastest machine does: such a run goes on until the test, which has seen what it waits for, stops it. */
export const ENDLESS = 1_000_000_000;
const POLL_MS = 20;

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder that is gone when the test is over. */
export function temporaryFolder(test: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-it-'));
  test.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** One `lockstep` process. */
export class Cli {
  readonly ended: Promise<Ended>;
  private readonly child: ChildProcess;
  private stdout = '';
  private stderr = '';
  private over = false;

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, program = CLI) {
    this.child = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        this.child.kill('SIGKILL');
        reject(new Error(`lockstep ${args.join(' ')} does not end; it printed:\n${this.stdout}${this.stderr}`));
      }, RUN_LIMIT_MS);
      this.child.on('close', (status) => {
        this.over = true;
        clearTimeout(limit);
        resolve({ status, stdout: this.stdout, stderr: this.stderr });
      });
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('it could not be started');
    return this.child.pid;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** @throws Error with what it printed if it has ended */
  mustRun(before: string): void {
    if (this.over) throw new Error(`it ended before ${before}:\n${this.stdout}${this.stderr}`);
  }

  /** Resolves with the first match in what it printed so far or prints later. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      this.mustRun(`it had printed ${String(pattern)}`);
      await pause(POLL_MS);
    }
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export async function lockstep(...args: readonly string[]): Promise<Ended> {
  return new Cli(args).ended;
}

/** Arguments of a short run of the small network on any free port. */
export function tinyRun(out: string, workers: number, steps: number, ...more: readonly string[]): string[] {
  const size = ['--global-batch', '12', '--microbatch-size', '2', '--checkpoint-every', '5'];
  const patience = ['--heartbeat-timeout-ms', String(PATIENT_MS)];
  return [
    'up',
    '--preset',
    'tiny',
    '--seed',
    '7',
    '--steps',
    String(steps),
    '--workers',
    String(workers),
    '--out',
    out,
    '--port',
    '0',
    ...size,
    ...patience,
    ...more,
  ];
}

const statusSchema = z.object({
  step: z.number(),
  generation: z.number(),
  workers: z.array(z.object({ id: z.string(), inRing: z.boolean() })),
});

/** The run's address, once the coordinator listens. */
export async function addressOf(run: Cli): Promise<string> {
  const match = await run.printed(/coordinator at ws:\/\/(\S+:\d+)/);
  return `http://${match[1] ?? ''}`;
}

export type RunStatus = z.infer<typeof statusSchema>;

/** Resolves with the first status that `holds`. Rejects when the run ends before. */
export async function untilStatus(run: Cli, holds: (status: RunStatus) => boolean): Promise<RunStatus> {
  const address = await addressOf(run);
  for (;;) {
    // Nobody answers while the coordinator is started again.
    const answer = await fetch(`${address}/status`).catch(() => null);
    const status = answer === null ? null : statusSchema.parse(await answer.json());
    if (status !== null && holds(status)) return status;
    run.mustRun(`its status held`);
    await pause(POLL_MS);
  }
}

/** Resolves as soon as so many steps are committed. */
export async function untilStep(run: Cli, step: number): Promise<RunStatus> {
  return untilStatus(run, (status) => status.step >= step);
}

/** Resolves as soon as so many workers are in the ring and have committed so many steps together. */
export async function untilTogether(run: Cli, workers: number, steps: number): Promise<RunStatus> {
  const together = ({ workers: all }: RunStatus): boolean => all.filter(({ inRing }) => inRing).length === workers;
  const { step, generation } = await untilStatus(run, together);
  return untilStatus(run, (status) => status.generation >= generation && status.step >= step + steps);
}

/** The process of a part of the run, by its log. */
export function processOf(out: string, part: string): number {
  const pids = [...readFileSync(join(out, 'logs', `${part}.log`), 'utf8').matchAll(/process (\d+)/g)];
  return Number(pids.at(-1)?.[1]);
}

/** The digest that `lockstep digest` prints, checked to be alone on its line. */
export async function digestOf(out: string): Promise<string> {
  const { stdout, stderr, status } = await lockstep('digest', out);
  if (status !== 0 || !/^[0-9a-f]{64}\n$/.test(stdout))
    throw new Error(`digest printed ${JSON.stringify(stdout)} ${stderr}`);
  return stdout.trim();
}
