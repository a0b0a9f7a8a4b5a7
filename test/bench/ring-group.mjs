// The processes that ring.mjs measures. Each group of them does one thing when told to and sleeps otherwise, so that groups
// take turns within milliseconds and see the same machine.
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Disturbed, DISTURBED_STATUS } from './disturbed.mjs';

const answersOf = async (children) =>
  (await Promise.all(children.map((child) => once(child, 'message')))).map(([message]) => message);

/** n processes of a module here, told of each other's places. `tell` gives all the same order and returns their answers. */
export class Group {
  #children;

  static async start(module, n, ...args) {
    const group = new Group();
    const file = fileURLToPath(new URL(module, import.meta.url));
    group.#children = Array.from({ length: n }, (_, rank) =>
      fork(file, [String(rank), String(n), ...args], { execArgv: ['--expose-gc', ...process.execArgv] }),
    );
    // A member that dies would be waited for for ever.
    for (const child of group.#children)
      child.once('exit', (code, signal) => {
        if (code === 0) return;
        console.error(`thrown away: a member of ${module} ended by ${signal ?? `status ${code}`}`);
        process.exit(DISTURBED_STATUS);
      });
    const places = await answersOf(group.#children);
    await group.tell(places);
    return group;
  }

  async tell(order) {
    const answers = answersOf(this.#children);
    for (const child of this.#children) child.send(order);
    return await answers;
  }

  async stop() {
    const exits = this.#children.map((child) => once(child, 'exit'));
    for (const child of this.#children) child.send('stop');
    await Promise.all(exits);
  }
}

/** Gloo's processes, all children of one that has imported torch. */
export class GlooGroup {
  #process;
  #lines;

  static async start(python, n) {
    const group = new GlooGroup();
    const script = fileURLToPath(new URL('peers/ring_gloo.py', import.meta.url));
    group.#process = spawn(python, [script, String(n)], { stdio: ['pipe', 'pipe', 'inherit'] });
    group.#lines = createInterface({ input: group.#process.stdout })[Symbol.asyncIterator]();
    group.versions = await group.#answer();
    return group;
  }

  async tell(order) {
    this.#process.stdin.write(`${JSON.stringify(order)}\n`);
    return await this.#answer();
  }

  async stop() {
    this.#process.stdin.end();
    await once(this.#process, 'exit');
  }

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Disturbed("Gloo's processes ended; what they said is above");
    return JSON.parse(value);
  }
}
