// The processes that ring.ts measures. Each group of them does one thing when told to and sleeps otherwise, so that groups
// take turns within milliseconds and see the same machine.
import { fork, spawn, type ChildProcess, type ChildProcessByStdio, type Serializable } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';
import { benchProgram, peerScript } from '../places.js';
import type { Versions } from '../peers/peers.js';
import { Disturbed, DISTURBED_STATUS, endText } from '../result/disturbed.js';
import { portSchema, ringPlaceSchema, STOP, type ReduceOrder } from './orders.js';

/** The next message of each. */
function answersOf<T>(children: readonly ChildProcess[], schema: z.ZodType<T>): Promise<T[]> {
  return Promise.all(
    children.map(async (child) => {
      const [message] = (await once(child, 'message')) as readonly unknown[];
      return schema.parse(message);
    }),
  );
}

/** n processes of a program here, told of each other's places. */
export class Group {
  private constructor(private readonly children: readonly ChildProcess[]) {}

  static async start(program: string, n: number, ...args: string[]): Promise<Group> {
    const children = Array.from({ length: n }, (_, rank) =>
      fork(benchProgram(program), [String(rank), String(n), ...args], {
        execArgv: ['--expose-gc', ...process.execArgv],
      }),
    );
    // A member that dies would be waited for for ever.
    for (const child of children)
      child.once('exit', (code, signal) => {
        if (code === 0) return;
        console.error(`thrown away: a member of ${program} ended by ${endText({ code, signal })}`);
        process.exit(DISTURBED_STATUS);
      });
    const group = new Group(children);
    const places = await answersOf(children, z.union([ringPlaceSchema, portSchema]));
    await group.tell(places, z.unknown());
    return group;
  }

  /** Gives all the same order. Resolves to their answers. */
  async tell<T>(order: Serializable, answer: z.ZodType<T>): Promise<T[]> {
    const answers = answersOf(this.children, answer);
    for (const child of this.children) child.send(order);
    return answers;
  }

  async stop(): Promise<void> {
    const exits = this.children.map((child) => once(child, 'exit'));
    for (const child of this.children) child.send(STOP);
    await Promise.all(exits);
  }
}

const versionsSchema = z.record(z.string(), z.string());
const secondsSchema = z.array(z.number());

/** Gloo's processes, all children of one that has imported torch. */
export class GlooGroup {
  private readonly process: ChildProcessByStdio<Writable, Readable, null>;
  private readonly lines: AsyncIterator<string>;
  versions: Versions = {};

  private constructor(python: string, n: number) {
    this.process = spawn(python, [peerScript('ring_gloo.py'), String(n)], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  static async start(python: string, n: number): Promise<GlooGroup> {
    const group = new GlooGroup(python, n);
    group.versions = versionsSchema.parse(await group.answer());
    return group;
  }

  /** Resolves to each rank's seconds. */
  async tell(order: ReduceOrder): Promise<number[]> {
    this.process.stdin.write(`${JSON.stringify(order)}\n`);
    return secondsSchema.parse(await this.answer());
  }

  async stop(): Promise<void> {
    const exit = once(this.process, 'exit');
    this.process.stdin.end();
    await exit;
  }

  private async answer(): Promise<unknown> {
    const line = await this.lines.next();
    if (line.done === true) throw new Disturbed("Gloo's processes ended; what they said is above");
    return JSON.parse(line.value);
  }
}
