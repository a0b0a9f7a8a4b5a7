/** What must hold after a run: the digest of an undisturbed run, and a ledger that `lockstep verify` finds whole. */
import { execFile } from 'node:child_process';
import { CLI, Cluster, type Recipe } from './cluster.js';

/** `lockstep digest` and `lockstep verify` on a small run. Milliseconds. */
const COMMAND_LIMIT_MS = 60_000;

interface Ended {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function lockstep(prefix: readonly string[], ...args: readonly string[]): Promise<Ended> {
  const [command = process.execPath, ...rest] = [...prefix, process.execPath, CLI, ...args];
  return new Promise((resolve) => {
    execFile(command, rest, { timeout: COMMAND_LIMIT_MS }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      resolve({ status, stdout, stderr });
    });
  });
}

/** Digest of a run's newest state. @throws Error if `lockstep digest` finds none */
export async function digestOf(cluster: Cluster): Promise<string> {
  const { status, stdout, stderr } = await lockstep(cluster.layout.readerPrefix ?? [], 'digest', cluster.out);
  if (status !== 0 || !/^[0-9a-f]{64}\n$/.test(stdout)) throw new Error(`lockstep digest: ${stdout}${stderr}`);
  return stdout.trim();
}

/** Null: the ledger proves that every sample was used once and every step follows from the one before. Else what is wrong. */
export async function verifyProblem(cluster: Cluster): Promise<string | null> {
  const { status, stdout, stderr } = await lockstep(cluster.layout.readerPrefix ?? [], 'verify', cluster.out);
  return status === 0 ? null : `lockstep verify ended with status ${status}: ${stdout}${stderr}`;
}

const undisturbed = new Map<string, Promise<string>>();

/** Final digest of a run of this recipe on one worker that nobody disturbs; made once. */
export function undisturbedDigest(recipe: Recipe): Promise<string> {
  const key = JSON.stringify(recipe);
  const known = undisturbed.get(key);
  if (known !== undefined) return known;
  const made = runAlone(recipe);
  undisturbed.set(key, made);
  return made;
}

async function runAlone(recipe: Recipe): Promise<string> {
  const cluster = await Cluster.start({ recipe, workers: 1, checkpointEvery: recipe.steps });
  try {
    await cluster.finished();
    return await digestOf(cluster);
  } finally {
    await cluster.close();
  }
}
