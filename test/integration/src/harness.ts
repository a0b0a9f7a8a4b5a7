/** Runs the real command line with real processes and sockets, in folders of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const CLI = fileURLToPath(new URL('../../../apps/cli/dist/main.js', import.meta.url));
/** A run that has not ended by then hangs: the test fails with what it printed. Milliseconds. */
const RUN_LIMIT_MS = 180_000;
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

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Resolves with the first match in what it printed so far or prints later. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout);
      if (match !== null) return match;
      if (this.over) throw new Error(`it ended without printing ${String(pattern)}:\n${this.stdout}${this.stderr}`);
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

/** Resolves as soon as so many steps are committed. */
export async function untilStep(run: Cli, step: number): Promise<z.infer<typeof statusSchema>> {
  const address = await addressOf(run);
  for (;;) {
    const status = statusSchema.parse(await (await fetch(`${address}/status`)).json());
    if (status.step >= step) return status;
    await pause(POLL_MS);
  }
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
