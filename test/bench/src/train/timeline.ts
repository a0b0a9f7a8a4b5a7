/**
 * What a timeline of `lockstep up --trace FILE` says, in figures.
 *
 * For every thread: milliseconds a step in each of its spans, and the share of the time in which it was idle; of a worker's ring, the
 * share that lies beside gradients of its own. Counted from the
 * end of the warm-up's last update to the end of the last update, on each process's own compute thread.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { Disturbed } from '../result/disturbed.js';

/** Steps at the beginning that do not count: caches fill, the speeds of the workers are being learnt. */
export const WARM_UP_STEPS = 5;

/** An event of the Trace Event Format (libs/run, trace-file.ts): a name of a process or of a thread, or a span. */
const eventSchema = z.object({
  name: z.string(),
  ph: z.string(),
  pid: z.number(),
  tid: z.number().default(0),
  /** Begin and length of a span, microseconds. */
  ts: z.number().default(0),
  dur: z.number().default(0),
  args: z.looseObject({ name: z.unknown().optional() }).optional(),
});
const timelineSchema = z.object({ traceEvents: z.array(eventSchema) });

type TraceEvent = z.infer<typeof eventSchema>;
type Span = Pick<TraceEvent, 'name' | 'ts' | 'dur'>;

interface Thread {
  readonly pid: number;
  readonly name: string;
  readonly spans: Span[];
}

/** What a thread did. */
export interface ThreadFigures {
  readonly steps: number;
  readonly stepMs: number;
  /** Milliseconds of a step by span. */
  readonly ms: Readonly<Record<string, number>>;
  /** Of a compute thread. */
  readonly idleShare?: number;
  /** Of an I/O thread; null if there was no ring. */
  readonly ringHidden?: number | null;
}

/** By process and thread: "worker-0/compute", "worker-0/io", "coordinator/decisions". */
export type Timeline = ReadonlyMap<string, ThreadFigures>;

interface Window {
  readonly from: number;
  readonly to: number;
}

/** The figures of a timeline. @throws Disturbed if a compute thread made too few updates */
export function readTimeline(file: string, warmUp = WARM_UP_STEPS): Timeline {
  const { traceEvents } = timelineSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  const processes = new Map<number, string>();
  const threads = new Map<string, Thread>();
  for (const event of traceEvents) {
    const { pid, tid, name, ph, args } = event;
    const id = `${pid}/${tid}`;
    if (name === 'process_name') processes.set(pid, String(args?.name));
    if (name === 'thread_name') threads.set(id, { pid, name: String(args?.name), spans: [] });
    if (ph === 'X') threads.get(id)?.spans.push(event);
  }
  const all = [...threads.values()];
  const ends = all.flatMap(({ name, spans }) =>
    name === 'compute' ? [spans.filter((span) => span.name === 'apply').map(({ ts, dur }) => ts + dur)] : [],
  );
  // One that was lost, or came in place of one, has other steps behind it: no figures follow from both.
  if (ends.some((list) => list.length <= warmUp))
    throw new Disturbed(
      `a compute thread of ${file} made ${Math.min(...ends.map(({ length }) => length))} updates alone`,
    );
  const window = {
    from: Math.max(...ends.map((list) => list[warmUp - 1])),
    to: Math.min(...ends.map((list) => list[list.length - 1])),
  };
  const { from, to } = window;
  const steps = Math.max(...ends.map((list) => list.filter((end) => end > from && end <= to).length));
  return new Map(
    all.map((thread) => [
      `${processes.get(thread.pid) ?? thread.pid}/${thread.name}`,
      figuresOf(thread, all, window, steps),
    ]),
  );
}

function figuresOf(thread: Thread, all: readonly Thread[], window: Window, steps: number): ThreadFigures {
  const { from, to } = window;
  const ms = new Map<string, number>();
  for (const { name, ts, dur } of thread.spans) {
    const inside = Math.min(ts + dur, to) - Math.max(ts, from);
    if (inside > 0) ms.set(name, (ms.get(name) ?? 0) + inside / 1000 / steps);
  }
  const stepMs = (to - from) / 1000 / steps;
  return {
    steps,
    stepMs: Number(stepMs.toFixed(2)),
    ms: Object.fromEntries([...ms].map(([part, value]) => [part, Number(value.toFixed(2))])),
    ...(thread.name === 'compute' ? { idleShare: (ms.get('idle') ?? 0) / stepMs } : {}),
    ...(thread.name === 'io' ? { ringHidden: hiddenShare(thread, all, window) } : {}),
  };
}

/** The share of an I/O thread's ring in which the same process computes a gradient; null if there was no ring. */
function hiddenShare({ pid, spans }: Thread, all: readonly Thread[], { from, to }: Window): number | null {
  const inTime = ({ ts, dur }: Span): boolean => ts >= from && ts + dur <= to;
  const gradients = all
    .filter((other) => other.pid === pid && other.name === 'compute')
    .flatMap((other) => other.spans.filter((span) => span.name === 'gradient' && inTime(span)));
  const rings = spans.filter((span) => span.name === 'ring' && inTime(span));
  const whole = rings.reduce((sum, { dur }) => sum + dur, 0);
  const both = (a: Span, b: Span): number => Math.max(0, Math.min(a.ts + a.dur, b.ts + b.dur) - Math.max(a.ts, b.ts));
  const hidden = rings.reduce((sum, ring) => sum + gradients.reduce((part, span) => part + both(ring, span), 0), 0);
  return whole === 0 ? null : hidden / whole;
}
