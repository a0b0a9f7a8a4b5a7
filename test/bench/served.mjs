/**
 * A process that does one unit of work for every line it reads, and answers with one JSON line: {"ms": its own time}. Its first line
 * says what it is. Both sides of a comparison are such processes, so that they take turns and neither has the other's threads.
 */
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { Disturbed } from './disturbed.mjs';

/** With one thread a process gets one core, the last: helper threads (V8's, autograd's) must share it, on both sides. */
export function pinned(threads, command, args) {
  return threads === 1 ? ['taskset', ['-c', String(cpus().length - 1), command, ...args]] : [command, args];
}

export class Served {
  #child;
  #lines;
  #ended;

  /** @param {{name: string, command: string, args: string[], threads: number | null, env: NodeJS.ProcessEnv}} options null: not pinned */
  constructor({ name, command, args, threads, env }) {
    this.name = name;
    const [program, all] = pinned(threads, command, args);
    this.#child = spawn(program, all, { stdio: ['pipe', 'pipe', 'inherit'], env });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  /** The next line; throws Disturbed if the process ended before it. */
  async next() {
    const line = await Promise.race([this.#lines.next(), this.#ended.then(() => ({ value: undefined }))]);
    if (line.value === undefined) {
      const { code, signal } = await this.#ended;
      throw new Disturbed(`${this.name} ended early, by ${signal ?? `status ${code}`}; its errors are above`);
    }
    return JSON.parse(line.value);
  }

  /** One unit of work; what the process says of it. `task` is one line of text. */
  async run(task = 'go') {
    this.#child.stdin.write(`${task}\n`);
    return this.next();
  }

  kill() {
    this.#child.kill('SIGKILL');
  }

  async close() {
    this.#child.stdin.end();
    const { signal } = await this.#ended;
    if (signal !== null) throw new Disturbed(`${this.name} was ended by ${signal}`);
  }
}

/** The other side: answers each line of standard input with what `work` returns of it. */
export async function serve(hello, work) {
  const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
  say(hello);
  for await (const line of createInterface({ input: process.stdin })) say(await work(line));
}
