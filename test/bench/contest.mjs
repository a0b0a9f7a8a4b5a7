/** Ours and the peer's variants, in turns. */
import { fileURLToPath } from 'node:url';
import { peerEnvironment, peerPython } from './peers.mjs';
import { Served } from './served.mjs';
import { summary } from './summary.mjs';

/** A process for each variant of a peer's script; none where no Python has the peers. */
export function peersOf(script, { variants, images, threads }) {
  const python = peerPython();
  if (python === undefined) {
    console.error('no peers: npm run bench:peers installs them');
    return [];
  }
  const path = fileURLToPath(new URL(`peers/${script}`, import.meta.url));
  const args = (variant) => [path, variant, String(images), String(threads)];
  const env = peerEnvironment();
  return variants.map((name) => new Served({ name, command: python, args: args(name), threads, env }));
}

/**
 * Rounds in which each process does `task` once; the order turns by one a round, so that nobody always follows the same other.
 * @returns what each said first (hello), and its answers after the warm-up, round by round; both by name. Ends the processes.
 */
export async function inTurns(processes, { rounds, warmUp, task }) {
  try {
    const hello = {};
    for (const one of processes) hello[one.name] = await one.next();
    const answers = await takeTurns(processes, { rounds, warmUp, task });
    for (const one of processes) await one.close();
    return { hello, answers };
  } finally {
    for (const one of processes) one.kill();
  }
}

/** The rounds alone, of processes that have said hello and go on afterwards. */
export async function takeTurns(processes, { rounds, warmUp, task }) {
  const answers = Object.fromEntries(processes.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (let turn = 0; turn < processes.length; turn++) {
      const one = processes[(turn + round + warmUp) % processes.length];
      const answer = await one.run(task);
      if (round >= 0) answers[one.name].push(answer);
    }
  }
  return answers;
}

/** The variant with the least median: its times and what the table says of it. Null where there is no peer. */
export function bestOf(answers, hello) {
  const peers = Object.entries(answers)
    .filter(([name]) => name !== 'ours')
    .map(([name, list]) => ({ name, ms: list.map((answer) => answer.ms) }))
    .sort((a, b) => summary(a.ms).median - summary(b.ms).median);
  if (peers.length === 0) return null;
  const [{ name, ms }] = peers;
  return { name, ms, peer: { name: `PyTorch, ${name}`, version: hello[name].version, ...summary(ms) } };
}
