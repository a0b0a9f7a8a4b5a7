/**
 * The file that a child process's output is kept in. What cannot be written is lost: writing never throws and never waits, so that
 * the child's pipe is drained whatever becomes of the disk, and the child is never held up by it.
 */
import { closeSync, constants, fstatSync, openSync, realpathSync, renameSync, writeSync } from 'node:fs';

/** A file that has reached this is put aside as `.1`, in place of an older one. */
export const MAX_LOG_BYTES = 8 * 2 ** 20;
/** Where a file cannot be written, it is tried again after so long. Milliseconds. */
export const RETRY_MS = 30_000;

/** A pipe that nobody reads, and a device, must not be waited for. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK;

export interface LogFileOptions {
  readonly path: string;
  /** Milliseconds of a clock that never goes back. */
  readonly monotonicNow: () => number;
  /** Told each time when writing has begun to fail, in one line with a code. */
  readonly warn: (text: string) => void;
  readonly maxBytes?: number;
}

export class LogFile {
  private file: OpenFile | null = null;
  private retryAt = -Infinity;
  private lostBytes = 0;

  constructor(private readonly options: LogFileOptions) {}

  write(chunk: Uint8Array): void {
    if (this.options.monotonicNow() < this.retryAt) {
      this.lostBytes += chunk.length;
      return;
    }
    let written = 0;
    try {
      this.file = this.roomFor(chunk.length);
      if (this.lostBytes > 0) this.append(Buffer.from(`-- ${this.lostBytes} bytes could not be written here --\n`));
      this.lostBytes = 0;
      written = this.append(chunk);
      if (written < chunk.length) throw new Error('there is room for a part only');
    } catch (error) {
      this.lostBytes += chunk.length - written;
      this.failed(error);
    }
  }

  close(): void {
    if (this.file !== null) closeQuietly(this.file.descriptor);
    this.file = null;
  }

  /** The file, put aside and begun anew where it is full. */
  private roomFor(bytes: number): OpenFile {
    const file = this.file ?? open(this.options.path);
    this.file = file;
    if (!file.isPlain || file.bytes === 0 || file.bytes + bytes <= (this.options.maxBytes ?? MAX_LOG_BYTES))
      return file;
    // Of a link, the file that it leads to: the link stays.
    const target = realpathSync(this.options.path);
    this.close();
    renameSync(target, `${target}.1`);
    return open(this.options.path);
  }

  /** @returns bytes written */
  private append(chunk: Uint8Array): number {
    if (this.file === null) return 0;
    const written = writeSync(this.file.descriptor, chunk);
    this.file.bytes += written;
    return written;
  }

  private failed(error: unknown): void {
    this.close();
    this.retryAt = this.options.monotonicNow() + RETRY_MS;
    this.options.warn(
      `E_LOG_WRITE: ${this.options.path} cannot be written (${error instanceof Error ? error.message : String(error)}): what belongs there is lost, and the run goes ` +
        `on; it is tried again every ${RETRY_MS / 1000} s`,
    );
  }
}

type OpenFile = { readonly descriptor: number; readonly isPlain: boolean; bytes: number };

function open(path: string): OpenFile {
  const descriptor = openSync(path, FLAGS, 0o644);
  try {
    const stat = fstatSync(descriptor);
    return { descriptor, isPlain: stat.isFile(), bytes: stat.size };
  } catch (error) {
    closeQuietly(descriptor);
    throw error;
  }
}

function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // What was written late could not be kept, as what was written before; the warning has been given.
  }
}
