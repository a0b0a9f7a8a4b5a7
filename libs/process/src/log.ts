/**
 * A process's log: lines of time, level and text on standard output. It never stops the process: not when nobody reads, not when
 * nobody reads fast enough, not when the disk is full.
 */
import { writeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { LogLevel } from '@lockstep/config';

/** Bytes that wait for a slow reader; lines beyond are dropped and counted. Some minutes of a talkative process. */
const MAX_PENDING_BYTES = 256 * 1024;
/** At the end of the process, what waits has so long to be read. Milliseconds. */
const END_GRACE_MS = 1_000;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLineLevel = (typeof LEVELS)[number];

export type LogStream = NodeJS.WritableStream & { readonly fd?: number };

export interface LogOptions {
  readonly stream: LogStream;
  /** Lines below it are left out. */
  readonly level: LogLevel;
  /** Wall clock, ms since the epoch. */
  readonly wallNow: () => number;
}

export class Log {
  private dropped = 0;
  private gone = false;

  constructor(private readonly options: LogOptions) {
    options.stream.on('error', () => (this.gone = true));
  }

  /** Bound, so that it can be handed on alone. */
  readonly line = (level: LogLineLevel, text: string): void => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(this.options.level)) return;
    if (this.dropped > 0) {
      const missed = this.textOf('warn', `E_OUTPUT_WRITE: ${this.dropped} lines before this one could not be written`);
      if (!this.write(missed)) {
        this.dropped++;
        return;
      }
      this.dropped = 0;
    }
    if (!this.write(this.textOf(level, text))) this.dropped++;
  };

  /** Waits a short time until all is read. False if it was not: the rest would keep the process for as long as nobody reads. */
  async end(): Promise<boolean> {
    const { stream } = this.options;
    const limit = performance.now() + END_GRACE_MS;
    while (!this.gone && waiting(stream) > 0) {
      if (performance.now() > limit) return false;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return true;
  }

  private textOf(level: LogLineLevel, text: string): string {
    return `${new Date(this.options.wallNow()).toISOString()} ${level} ${text}\n`;
  }

  private write(text: string): boolean {
    const { stream } = this.options;
    // Pipes and terminals. Node's stream of a file gives up at its first error, but a disk is not full for ever.
    if (stream instanceof Socket || stream.fd === undefined) {
      if (this.gone || waiting(stream) > MAX_PENDING_BYTES) return false;
      stream.write(text);
      return true;
    }
    try {
      return writeSync(stream.fd, text) === Buffer.byteLength(text);
    } catch {
      return false;
    }
  }
}

function waiting(stream: LogStream): number {
  return 'writableLength' in stream && typeof stream.writableLength === 'number' ? stream.writableLength : 0;
}
