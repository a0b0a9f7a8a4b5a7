// What a timeline of `lockstep up --trace FILE` says, in figures:
//
//   node test/bench/timeline.mjs FILE [WARM-UP STEPS]
//
// For every thread: milliseconds a step in each of its spans, and the share of the time in which it was idle; of a worker's ring, the
// share that lies beside gradients of its own. Counted from the
// end of the warm-up's last update to the end of the last update, on each process's own compute thread.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Disturbed } from './disturbed.mjs';

/** Steps at the beginning that do not count: caches fill, the speeds of the workers are being learnt. */
export const WARM_UP_STEPS = 5;

/** { "worker-0/compute": { steps, ms: { gradient: 190.1, ... }, idleShare }, "worker-0/io": { ..., ringHidden }, ... } */
export function readTimeline(file, warmUp = WARM_UP_STEPS) {
  const { traceEvents } = JSON.parse(readFileSync(file, 'utf8'));
  const processes = new Map();
  const threads = new Map();
  for (const event of traceEvents) {
    if (event.name === 'process_name') processes.set(event.pid, event.args.name);
    if (event.name === 'thread_name') threads.set(`${event.pid}/${event.tid}`, { name: event.args.name, spans: [] });
    if (event.ph === 'X') threads.get(`${event.pid}/${event.tid}`).spans.push(event);
  }
  const ends = [...threads.values()].flatMap(({ name, spans }) =>
    name === 'compute' ? [spans.filter((span) => span.name === 'apply').map((span) => span.ts + span.dur)] : [],
  );
  // One that was lost, or came in place of one, has other steps behind it: no figures follow from both.
  if (ends.some((list) => list.length <= warmUp))
    throw new Disturbed(
      `a compute thread of ${file} made ${Math.min(...ends.map(({ length }) => length))} updates alone`,
    );
  const from = Math.max(...ends.map((list) => list[warmUp - 1]));
  const to = Math.min(...ends.map((list) => list.at(-1)));
  const steps = Math.max(...ends.map((list) => list.filter((end) => end > from && end <= to).length));
  return Object.fromEntries(
    [...threads].map(([id, { name, spans }]) => {
      const ms = {};
      for (const span of spans) {
        const inside = Math.min(span.ts + span.dur, to) - Math.max(span.ts, from);
        if (inside > 0) ms[span.name] = (ms[span.name] ?? 0) + inside / 1000 / steps;
      }
      const stepMs = (to - from) / 1000 / steps;
      const rounded = Object.fromEntries(Object.entries(ms).map(([part, value]) => [part, Number(value.toFixed(2))]));
      const idleShare = name === 'compute' ? { idleShare: (ms.idle ?? 0) / stepMs } : {};
      const ringHidden = name === 'io' ? { ringHidden: hiddenShare(id, spans, threads, from, to) } : {};
      return [
        `${processes.get(Number(id.split('/')[0]))}/${name}`,
        { steps, stepMs: Number(stepMs.toFixed(2)), ms: rounded, ...idleShare, ...ringHidden },
      ];
    }),
  );
}

/** The share of an I/O thread's ring in which the same process computes a gradient; null if there was no ring. */
function hiddenShare(id, spans, threads, from, to) {
  const inTime = (span) => span.ts >= from && span.ts + span.dur <= to;
  const [pid] = id.split('/');
  const gradients = [...threads].flatMap(([other, thread]) =>
    other.startsWith(`${pid}/`) && thread.name === 'compute'
      ? thread.spans.filter((span) => span.name === 'gradient' && inTime(span))
      : [],
  );
  const rings = spans.filter((span) => span.name === 'ring' && inTime(span));
  const all = rings.reduce((sum, { dur }) => sum + dur, 0);
  const both = (a, b) => Math.max(0, Math.min(a.ts + a.dur, b.ts + b.dur) - Math.max(a.ts, b.ts));
  const hidden = rings.reduce((sum, ring) => sum + gradients.reduce((part, span) => part + both(ring, span), 0), 0);
  return all === 0 ? null : hidden / all;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href)
  console.log(JSON.stringify(readTimeline(process.argv[2], Number(process.argv[3] ?? WARM_UP_STEPS)), null, 2));
