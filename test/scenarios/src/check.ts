/** What must hold after a run: the digest of an undisturbed run, and a ledger that `lockstep verify` finds whole. */
import { execFile } from 'node:child_process';
import { Ledger, runPaths } from '@lockstep/run';
import { CLI, Cluster, PATIENT_TIMEOUT_MS, type Recipe } from './cluster.js';

/** A command that takes so long hangs, on the slowest machine too. Milliseconds. */
const COMMAND_LIMIT_MS = 1_800_000;

/** Steps that tell how fast one worker is here. */
const PACE_STEPS = 20;

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

/** A run of one worker that nobody disturbs, which goes on whenever more of it is asked for. */
class Reference {
  private cluster: Cluster | null = null;

  constructor(private readonly recipe: Recipe) {}

  /** Digest of its state after so many steps. */
  async digestAfter(steps: number): Promise<string> {
    const known = await this.known(steps);
    if (known !== undefined) return known;
    if (this.cluster === null) this.cluster = await Cluster.start(layoutOf(this.recipe));
    else this.cluster.startAll();
    const { cluster } = this;
    const { timeline } = cluster;
    // Further than is asked for, so that it is not started again for each who asks for a little more.
    await cluster.until('it is far enough', () => ((timeline.last?.status.step ?? 0) >= 2 * steps ? true : undefined));
    await cluster.stop();
    return this.digestAfter(steps);
  }

  /** The longest pause between two of its first commits, seconds. */
  async slowestStep(): Promise<number> {
    await this.digestAfter(PACE_STEPS);
    return Math.max(...(this.cluster?.timeline.gaps(-Infinity, Infinity).slice(0, PACE_STEPS) ?? []));
  }

  private async known(steps: number): Promise<string | undefined> {
    if (this.cluster === null) return undefined;
    const ledger = await Ledger.openReader(runPaths(this.cluster.out).ledger);
    const digest = ledger.get(steps - 1)?.digest;
    await ledger.close();
    return digest;
  }
}

const layoutOf = (recipe: Recipe) =>
  ({ recipe, workers: 1, checkpointEvery: 100, heartbeatTimeoutMs: PATIENT_TIMEOUT_MS }) as const;

const references = new Map<string, Reference>();

function referenceOf(recipe: Recipe): Reference {
  const key = JSON.stringify(recipe);
  const reference = references.get(key) ?? new Reference(recipe);
  references.set(key, reference);
  return reference;
}

/** The longest pause between two commits of one worker alone, seconds: how slow this machine is. */
export async function slowestStep(recipe: Recipe): Promise<number> {
  return referenceOf(recipe).slowestStep();
}

/** What a run of this recipe on one worker that nobody disturbs comes to after so many steps. */
export async function undisturbedDigest(recipe: Recipe, steps: number): Promise<string> {
  return referenceOf(recipe).digestAfter(steps);
}
