/**
 * A timeline of processes and their threads, as a file in the Trace Event Format that Perfetto (ui.perfetto.dev) and
 * chrome://tracing read. Each thread of each process appends its own events to its process's file, a line an event, the
 * moment they are over: a process that is killed loses none of them. That file is in the format's array form, which needs no
 * end; `joinTraces` makes one whole file of several.
 *
 * Times are microseconds since the epoch by the wall clock at each thread's start plus a clock that never goes back since
 * then, so that processes line up, on several machines too. Where the wall clock is set meanwhile, threads that start later are
 * shifted; a span's length never is.
 */
import { closeSync, createReadStream, existsSync, fstatSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isMainThread, threadId } from 'node:worker_threads';
import { systemReason } from '@lockstep/base';
import { CheckpointError } from '../errors.js';
import { openOutput } from './output-file.js';

/** Most events that one thread writes, some 100 MB: a viewer takes no more, and hours of training are in them. */
const MAX_EVENTS = 1_000_000;

/** What a span says beside its name and time. */
export type TraceValues = Readonly<Record<string, string | number | boolean>>;

/** Takes in what a thread did. Where nothing is to be traced, NO_TRACE. */
export interface Trace {
  /** Does `work`, and writes down how long that took; nothing if it throws. */
  timed<T>(name: string, work: () => T, values?: TraceValues): T;
  /** What is under way from now on, until the next stage; null: nothing. The same again changes nothing. */
  stage(name: string | null, values?: TraceValues): void;
  /** Writes nothing from now on. */
  close(): void;
}

export const NO_TRACE: Trace = {
  timed: (_name, work) => work(),
  stage: () => undefined,
  close: () => undefined,
};

/** Where a process's events go, and what it is called in the timeline. */
export interface TraceTarget {
  readonly file: string;
  readonly process: string;
}

/**
 * This thread's part of the timeline; nothing is traced where there is no target.
 *
 * @throws CheckpointError E_OUTPUT_PATH where the file cannot be opened. A write that fails later ends the trace, not the run.
 */
export function openTrace(target: TraceTarget | null, thread: string): Trace {
  return target === null ? NO_TRACE : new TraceFile(target, thread);
}

interface Stage {
  readonly name: string;
  readonly values: TraceValues;
  readonly key: string;
  /** Milliseconds of performance.now(). */
  readonly since: number;
}

class TraceFile implements Trace {
  private file: number | null;
  private left = MAX_EVENTS;
  private current: Stage | null = null;

  constructor({ file, process: name }: TraceTarget, thread: string) {
    // Appended: the threads of a process, and the process that takes the place of one that died, share the file.
    this.file = openedForAppending(file);
    if (isMainThread) {
      if (fstatSync(this.file).size === 0) writeSync(this.file, '[\n');
      this.write({ ph: 'M', name: 'process_name', args: { name } });
    }
    this.write({ ph: 'M', name: 'thread_name', args: { name: thread } });
  }

  timed<T>(name: string, work: () => T, values: TraceValues = {}): T {
    const since = performance.now();
    const result = work();
    this.span(name, since, performance.now(), values);
    return result;
  }

  stage(name: string | null, values: TraceValues = {}): void {
    const key = JSON.stringify([name, values]);
    if (this.current?.key === key) return;
    // One reading for both: what it takes to write the one down is no gap before the next.
    const now = performance.now();
    if (this.current !== null) this.span(this.current.name, this.current.since, now, this.current.values);
    this.current = name === null ? null : { name, values, key, since: now };
  }

  close(): void {
    this.stage(null);
    if (this.file !== null) closeSync(this.file);
    this.file = null;
  }

  private span(name: string, since: number, now: number, values: TraceValues): void {
    this.write({
      ph: 'X',
      name,
      ts: microseconds(performance.timeOrigin + since),
      dur: microseconds(now - since),
      args: values,
    });
  }

  private write(event: Readonly<Record<string, unknown>>): void {
    if (this.file === null) return;
    if (this.left === 0) return this.close();
    this.left -= 1;
    try {
      // One call, and the file is open for appending: no other thread's event lands inside it.
      writeSync(this.file, `${JSON.stringify({ ...event, pid: process.pid, tid: threadId })},\n`);
    } catch {
      this.file = null;
    }
  }
}

function openedForAppending(file: string): number {
  try {
    return openSync(file, 'a');
  } catch (error) {
    const reason = systemReason(error);
    throw new CheckpointError('E_OUTPUT_PATH', `${file} cannot be written: ${reason}; name another file`, {
      cause: error,
    });
  }
}

/** To a tenth: a float64 holds no more of microseconds since the epoch. */
function microseconds(milliseconds: number): number {
  return Math.round(milliseconds * 10_000) / 10;
}

/**
 * Writes the events of `parts`, the files of processes that have ended, into `file`, replacing what it held (output-file.ts). A
 * part that is not there, and a line that was cut off, are left out.
 *
 * @throws CheckpointError E_OUTPUT_PATH, E_OUTPUT_WRITE; the system's error where a part cannot be read
 */
export async function joinTraces(parts: readonly string[], file: string): Promise<void> {
  const out = openOutput(file).begin();
  try {
    out.write('{"displayTimeUnit":"ms","traceEvents":[\n');
    let separator = '';
    for (const part of parts) {
      for await (const event of eventsOf(part)) {
        out.write(separator + event);
        separator = ',\n';
      }
    }
    out.write('\n]}\n');
    out.end();
  } catch (error) {
    out.abandon();
    throw error;
  }
}

/** The events of one part, as JSON. */
async function* eventsOf(part: string): AsyncGenerator<string> {
  if (!existsSync(part)) return;
  for await (const line of createInterface({ input: createReadStream(part, 'utf8'), crlfDelay: Infinity })) {
    const event = line.endsWith(',') ? line.slice(0, -1) : line;
    if (isJson(event)) yield event;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
