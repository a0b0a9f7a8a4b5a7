/**
 * One process under test. It leads a process group of its own, so that all that it started ends with it, and it has a
 * channel to this process, so that it leaves by itself if this process is killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';

/** Enough to see why a process ended; the rest is let go. */
const KEPT_LINES = 400;
/** After SIGKILL a process is gone as soon as the machine comes to it, unless the kernel holds it. Milliseconds. */
const KILL_LIMIT_MS = 60_000;

export interface Launch {
  readonly name: string;
  /** What runs the command in a place of its own (`taskset -c 0`, `nsenter ...`); must exec it, not fork. */
  readonly prefix?: readonly string[];
  readonly script: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly onMessage?: (message: unknown) => void;
  readonly onLine?: (line: string) => void;
  readonly onExit?: (status: number | null, signal: NodeJS.Signals | null) => void;
}

const living = new Set<Part>();
// A signal ends this process by way of its exit listeners, which end what it started and remove what it made.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
process.once('exit', () => {
  for (const part of living) part.signal('SIGKILL');
});

export class Part {
  /** The newest lines of its output, oldest first. */
  readonly lines: string[] = [];
  readonly ended: Promise<void>;
  private readonly child: ChildProcess;

  constructor(readonly launch: Launch) {
    const [command = process.execPath, ...args] = [
      ...(launch.prefix ?? []),
      process.execPath,
      launch.script,
      ...launch.args,
    ];
    this.child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...process.env, ...launch.env },
    });
    living.add(this);
    this.follow(this.child.stdout);
    this.follow(this.child.stderr);
    this.child.on('message', (message) => launch.onMessage?.(message));
    this.ended = new Promise((resolve) => {
      const end = (status: number | null, signal: NodeJS.Signals | null): void => {
        if (!living.delete(this)) return;
        resolve();
        launch.onExit?.(status, signal);
      };
      this.child.on('error', (error) => {
        this.keep(error.message);
        end(null, null);
      });
      // `close`, not `exit`: all that it said has been read by then.
      this.child.on('close', end);
    });
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get running(): boolean {
    return living.has(this);
  }

  /** To the whole group. A group that is gone is fine. */
  signal(signal: NodeJS.Signals): void {
    if (this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.endsWithin(KILL_LIMIT_MS);
  }

  /** True if it ended in time. */
  async endsWithin(milliseconds: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), milliseconds);
    });
    const inTime = await Promise.race([this.ended.then(() => true), late]);
    clearTimeout(timer);
    return inTime;
  }

  private follow(stream: NodeJS.ReadableStream | null): void {
    let rest = '';
    stream?.setEncoding('utf8');
    stream?.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.keep(line);
    });
  }

  private keep(line: string): void {
    this.lines.push(line);
    if (this.lines.length > KEPT_LINES) this.lines.shift();
    this.launch.onLine?.(line);
  }
}
