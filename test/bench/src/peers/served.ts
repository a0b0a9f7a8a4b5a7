/**
 * A process that does one unit of work for every line it reads, and answers with one JSON line: {"ms": its own time}. Its first line
 * says what it is. Both sides of a comparison are such processes, so that they take turns and neither has the other's threads.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';
import { Disturbed, endText, type Ended } from '../result/disturbed.js';

/** What a process says first: a peer its version, ours its engine. */
const helloSchema = z.object({ version: z.string().optional(), engine: z.unknown().optional() });
export type Hello = z.infer<typeof helloSchema>;

/** What it says of a unit of work. */
const answerSchema = z.object({
  /** Its own time. */
  ms: z.number(),
  /** The same by part, where it tells. */
  parts: z.record(z.string(), z.number()).optional(),
});
export type Answer = z.infer<typeof answerSchema>;

/** With one thread a process gets one core, the last: helper threads (V8's, autograd's) must share it, on both sides. */
function pinned(threads: number | null, command: string, args: readonly string[]): [string, string[]] {
  return threads === 1 ? ['taskset', ['-c', String(cpus().length - 1), command, ...args]] : [command, [...args]];
}

export interface ServedOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Null: not pinned. */
  readonly threads: number | null;
  readonly env: NodeJS.ProcessEnv;
}

export class Served {
  readonly name: string;
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private readonly lines: AsyncIterator<string>;
  private readonly ended: Promise<Ended>;

  constructor({ name, command, args, threads, env }: ServedOptions) {
    this.name = name;
    const [program, all] = pinned(threads, command, args);
    this.child = spawn(program, all, { stdio: ['pipe', 'pipe', 'inherit'], env });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  /** What it says first. @throws Disturbed if the process ended before it */
  async hello(): Promise<Hello> {
    return helloSchema.parse(await this.next());
  }

  /** One unit of work; what the process says of it. `task` is one line of text. @throws Disturbed if the process ended before it */
  async run(task = 'go'): Promise<Answer> {
    this.child.stdin.write(`${task}\n`);
    return answerSchema.parse(await this.next());
  }

  private async next(): Promise<unknown> {
    const line = await Promise.race([this.lines.next(), this.ended.then(() => ({ done: true }) as const)]);
    if (line.done !== true) return JSON.parse(line.value);
    throw new Disturbed(`${this.name} ended early, by ${endText(await this.ended)}; its errors are above`);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    this.child.stdin.end();
    const { signal } = await this.ended;
    if (signal !== null) throw new Disturbed(`${this.name} was ended by ${signal}`);
  }
}

/** The other side: answers each line of standard input with what `work` returns of it. */
export async function serve(hello: Hello, work: (task: string) => Answer | Promise<Answer>): Promise<void> {
  const say = (value: object): boolean => process.stdout.write(`${JSON.stringify(value)}\n`);
  say(hello);
  for await (const line of createInterface({ input: process.stdin })) say(await work(line));
}
