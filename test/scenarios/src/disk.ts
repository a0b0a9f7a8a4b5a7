/**
 * A disk of a few MB that can be filled: a tmpfs in a mount namespace of its own, held open by a sleeping process. It
 * cannot outlive that process, so nothing stays mounted. Needs the right to make mount or user namespaces.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Skipped } from './fault.js';

const MEGABYTES = 8;
const BLOCK_BYTES = 4_096;
const FILLER = 'filler';
/** The holder ends some time after any run, should this process be killed. Seconds. */
const HOLDER_LIFE_S = 6 * 3600;

export class SmallDisk {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly folder: string,
    /** Runs a command where the disk can be seen. */
    readonly prefix: readonly string[],
  ) {}

  /** Mounts a disk at `folder`, which is created. @throws Skipped where this machine does not allow it */
  static async mount(folder: string): Promise<SmallDisk> {
    mkdirSync(folder, { recursive: true });
    const root = process.getuid?.() === 0;
    const script = `mount -t tmpfs -o size=${MEGABYTES}m tmpfs "$0" && echo mounted && exec sleep ${HOLDER_LIFE_S}`;
    const holder = spawn('unshare', [...(root ? ['-m'] : ['-r', '-m']), 'sh', '-c', script, folder], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const problem = await new Promise<string | null>((resolve) => {
      let complaint = '';
      holder.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
      holder.stdout.once('data', () => resolve(null));
      holder.once('error', (error) => resolve(error.message));
      holder.once('close', () => resolve(complaint.trim() || 'unshare ended'));
    });
    if (problem !== null) throw new Skipped(`no tmpfs can be mounted here: ${problem}`);
    process.once('exit', () => holder.kill('SIGKILL'));
    const target = ['-t', String(holder.pid), '-m'];
    return new SmallDisk(holder, folder, ['nsenter', ...target, ...(root ? [] : ['-U', '--preserve-credentials'])]);
  }

  /** Takes all the space that is left. */
  fill(): void {
    const file = openSync(this.path(FILLER), 'a');
    try {
      for (;;) writeSync(file, Buffer.alloc(BLOCK_BYTES));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.path(FILLER), { force: true });
  }

  async unmount(): Promise<void> {
    const ended = new Promise((resolve) => this.holder.once('close', resolve));
    this.holder.kill('SIGKILL');
    await ended;
  }

  /** A file on the disk, as it can be reached from outside the namespace. */
  private path(name: string): string {
    return join(`/proc/${this.holder.pid ?? 0}/root`, this.folder, name);
  }
}
