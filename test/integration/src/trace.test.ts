/** `lockstep up --trace`: one timeline of all threads of all processes, also of one that was killed. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import { Cli, ENDLESS, lockstep, processOf, temporaryFolder, tinyRun, untilStep, untilTogether } from './harness.js';
import { stopped } from './undisturbed.js';

const timelineSchema = z.object({
  traceEvents: z.array(
    z.object({
      ph: z.enum(['M', 'X']),
      name: z.string(),
      pid: z.number(),
      tid: z.number(),
      ts: z.number().optional(),
      dur: z.number().min(0).optional(),
      args: z.record(z.string(), z.unknown()),
    }),
  ),
});

test('a timeline has every thread of every process, and what a killed worker did until then', async (t) => {
  const folder = temporaryFolder(t);
  const [out, trace] = [join(folder, 'run'), join(folder, 'trace.json')];
  const run = new Cli(tinyRun(out, 2, ENDLESS, '--trace', trace));
  await untilTogether(run, 2, 3);
  const killed = processOf(out, 'worker-1');
  process.kill(killed, 'SIGKILL');
  const [, step] = await run.printed(/generation \d+ at step (\d+) with .*lost worker-1/);
  await untilStep(run, Number(step) + 3);
  const last = await stopped(run, out);
  const { traceEvents } = timelineSchema.parse(JSON.parse(readFileSync(trace, 'utf8')));
  assert.deepEqual(readdirSync(folder).sort(), ['run', 'trace.json'], 'the parts are joined and gone');

  const named = (kind: string) => traceEvents.filter(({ ph, name }) => ph === 'M' && name === kind);
  const processes = new Map(named('process_name').map(({ pid, args }) => [pid, args['name']]));
  assert.deepEqual(new Set(processes.values()), new Set(['coordinator', 'worker-0', 'worker-1']));
  assert.ok(processes.size >= 3);
  const workers = [...processes].filter(([, name]) => name !== 'coordinator').map(([pid]) => pid);
  assert.ok(workers.includes(killed));
  // The process that took the killed one's place may have come too late to do more than begin.
  const threads = (pid: number): unknown[] =>
    named('thread_name').flatMap((event) => (event.pid === pid ? [event.args['name']] : []));
  for (const pid of workers) {
    const others = threads(pid).filter((name) => name !== 'io' && name !== 'compute');
    assert.deepEqual(others, [], `threads of ${String(processes.get(pid))}`);
  }
  const steady = workers.filter((pid) => processes.get(pid) === 'worker-0');
  for (const pid of [killed, ...steady]) assert.deepEqual(new Set(threads(pid)), new Set(['io', 'compute']));

  const spans = traceEvents.filter(({ ph }) => ph === 'X');
  const by = (pid: number): Set<string> => new Set(spans.filter((span) => span.pid === pid).map(({ name }) => name));
  for (const name of ['batch', 'gradient', 'describe', 'apply', 'idle', 'fold', 'ring'])
    assert.ok(by(killed).has(name), `the killed worker's ${name}`);
  const coordinator = [...processes].find(([, name]) => name === 'coordinator')?.[0] ?? NaN;
  // The gradients of one more step may have been under way when the run was stopped.
  const stepsOf = (name: string): unknown[] =>
    spans.flatMap((span) => (span.pid === coordinator && span.name === name ? [span.args['step']] : []));
  const committed = (steps: unknown[]): Set<unknown> => new Set(steps.filter((k) => Number(k) <= last.step));
  for (const name of ['gradients', 'reduce to commit'])
    assert.deepEqual(
      committed(stepsOf(name)),
      new Set(Array.from({ length: last.step + 1 }, (_, index) => index)),
      `${name} of every step`,
    );
});

test('a timeline that cannot be written is refused before anything starts', async (t) => {
  const folder = temporaryFolder(t);
  const out = join(folder, 'run');
  const { status, stderr } = await lockstep(...tinyRun(out, 1, 2, '--trace', join(folder, 'none', 'trace.json')));
  assert.equal(status, 2);
  assert.match(stderr, /E_TRACE_FILE: .*none.trace\.json cannot be written: .*; name another file/);
  assert.equal(existsSync(out), false);
});
