/** A wall clock that is set back under a running coordinator, by libfaketime. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HEARTBEAT_TIMEOUT_MS, type Cluster } from './cluster.js';
import { Skipped, type Fault, type Injection } from './fault.js';

const TIMEOUT_S = HEARTBEAT_TIMEOUT_MS / 1000;
const HOUR_S = 3_600;

/** Where distributions put the library; Debian under the name of the architecture. The variant for processes with threads. */
function faketimeLibrary(): string {
  const inDebian = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.endsWith('-linux-gnu')) : [];
  const folders = [...inDebian.map((name) => `/usr/lib/${name}`), '/usr/lib64', '/usr/lib', '/usr/local/lib'];
  const found = folders.map((folder) => join(folder, 'faketime/libfaketimeMT.so.1')).find((path) => existsSync(path));
  if (found === undefined) throw new Skipped('libfaketime is not installed; on Debian: apt-get install faketime');
  return found;
}

/** The wall clock of the processes that are started with `env`. */
class SettableClock {
  private readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-chaos-clock-'));
  private readonly offsetFile = join(this.folder, 'offset');
  private offsetS = 0;
  readonly env: Readonly<Record<string, string>>;

  constructor(library: string) {
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.offsetFile,
      // Read at each look at the clock.
      FAKETIME_NO_CACHE: '1',
      // The name up to version 0.9.8, and the one since.
      DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    this.set(0);
  }

  setBack(seconds: number): void {
    this.set(this.offsetS - seconds);
  }

  /** Whether a time of that clock, ms since the epoch, was taken after it was set. */
  shows(time: number): boolean {
    return Math.abs(time - Date.now() - 1000 * this.offsetS) < (1000 * HOUR_S) / 2;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private set(offsetS: number): void {
    this.offsetS = offsetS;
    writeFileSync(this.offsetFile, `${offsetS < 0 ? '' : '+'}${offsetS}\n`);
  }
}

/** Freezes `victims`, sets the clock back, and measures until all are found lost by their silence; then they go on. */
async function freezeAndSetBack(
  cluster: Cluster,
  clock: SettableClock,
  victims: readonly string[],
): Promise<Injection> {
  const { generation } = cluster;
  const workers = victims.map((name) => cluster.worker(name));
  const at = performance.now();
  for (const worker of workers) worker.signal('SIGSTOP');
  try {
    // After the last word of each, whose time is of the clock before.
    clock.setBack(HOUR_S);
    const losses = await Promise.all(
      victims.map((name) =>
        cluster.note(`${name} is found lost`, at, ({ note, worker }) => note === 'worker-lost' && worker === name),
      ),
    );
    for (const { note, wallAt } of losses) {
      if (note.reason?.startsWith('E_HEARTBEAT_MISSED') !== true)
        throw new Error(`${note.worker ?? ''} is not lost by its silence: ${note.reason ?? ''}`);
      if (!clock.shows(wallAt)) throw new Error(`the coordinator's clock was not set: it shows ${wallAt}`);
    }
    // Those that still run need no other.
    if (victims.length < cluster.names.length) await cluster.secondsToCommit(at, generation);
    return { seconds: (Math.max(...losses.map((loss) => loss.at)) - at) / 1000 };
  } finally {
    for (const worker of workers) worker.signal('SIGCONT');
  }
}

export const clockSetBack: Fault = {
  id: 'clock-set-back',
  title: "the coordinator's clock is set back by an hour, and one worker frozen, or all (seconds: until found lost)",
  goal: 'found by their silence (E_HEARTBEAT_MISSED) in 2 heartbeat timeouts',
  met: ({ seconds }) => Math.max(...seconds) < 2 * TIMEOUT_S,
  waitsForSilence: true,
  open: async () => {
    const clock = new SettableClock(faketimeLibrary());
    return {
      layout: { coordinator: () => ({ env: clock.env }) },
      inject: async (cluster, count) => {
        const one = cluster.names[count % cluster.names.length] ?? '';
        const alone = await freezeAndSetBack(cluster, clock, [one]);
        await cluster.whole();
        // Nobody is left to complain.
        const all = await freezeAndSetBack(cluster, clock, cluster.names);
        await cluster.commits(1);
        return [alone, all];
      },
      close: async () => clock.remove(),
    };
  },
};
