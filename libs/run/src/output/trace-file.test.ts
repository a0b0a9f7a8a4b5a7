import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { z } from 'zod';
import { joinTraces, openTrace } from '#src/output/trace-file.js';

const eventSchema = z.object({
  ph: z.enum(['M', 'X']),
  name: z.string(),
  pid: z.number(),
  tid: z.number(),
  ts: z.number().optional(),
  dur: z.number().optional(),
  args: z.record(z.string(), z.unknown()),
});
const fileSchema = z.object({ displayTimeUnit: z.literal('ms'), traceEvents: z.array(eventSchema) });

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'lockstep-trace-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function joined(root: string, ...parts: string[]): Promise<z.infer<typeof eventSchema>[]> {
  const file = join(root, 'trace.json');
  await joinTraces(parts, file);
  return fileSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).traceEvents;
}

test('a timeline says who did what, from when, and for how long', async (context) => {
  const root = folder(context);
  const part = join(root, 'part');
  const before = Date.now() * 1000;
  const trace = openTrace({ file: part, process: 'worker-0' }, 'compute');
  assert.equal(
    trace.timed('gradient', () => 7, { microbatch: 2 }),
    7,
  );
  trace.close();
  const [process_, thread, span] = await joined(root, part);
  assert.deepEqual([process_?.name, process_?.args], ['process_name', { name: 'worker-0' }]);
  assert.deepEqual([thread?.name, thread?.args], ['thread_name', { name: 'compute' }]);
  assert.deepEqual([span?.name, span?.pid, span?.args], ['gradient', process.pid, { microbatch: 2 }]);
  const { ts = 0, dur = -1 } = span ?? {};
  // A second for a wall clock that was set while the process ran.
  assert.ok(ts > before - 1e6 && ts < Date.now() * 1000 + 1e6, `${ts} is the time of day in microseconds`);
  assert.ok(dur >= 0);
});

test('stages follow one another without a gap, and the same stage again is still the same', async (context) => {
  const root = folder(context);
  const part = join(root, 'part');
  const trace = openTrace({ file: part, process: 'p' }, 't');
  trace.stage('fold', { step: 1 });
  trace.stage('fold', { step: 1 });
  trace.stage('ring', { step: 1 });
  trace.stage('ring', { step: 2 });
  trace.close();
  const spans = (await joined(root, part)).filter((event) => event.ph === 'X');
  assert.deepEqual(
    spans.map(({ name, args }) => [name, args['step']]),
    [
      ['fold', 1],
      ['ring', 1],
      ['ring', 2],
    ],
  );
  spans.slice(1).forEach((span, index) => {
    const { ts = 0, dur = 0 } = spans[index] ?? {};
    // To the rounding of a time since the epoch.
    assert.ok(Math.abs(ts + dur - (span.ts ?? 0)) < 1, 'the next begins where the one before ended');
  });
});

test('work that throws leaves no span, and its error comes through', async (context) => {
  const root = folder(context);
  const part = join(root, 'part');
  const trace = openTrace({ file: part, process: 'p' }, 't');
  assert.throws(() => trace.timed('gradient', () => assert.fail('no')), /no/);
  trace.close();
  assert.equal((await joined(root, part)).filter((event) => event.ph === 'X').length, 0);
});

test('a part that a killed process left in the middle of a line loses only that line, and a missing part nothing', async (context) => {
  const root = folder(context);
  const [one, two] = [join(root, 'one'), join(root, 'two')];
  for (const part of [one, two]) {
    const trace = openTrace({ file: part, process: part }, 't');
    trace.timed('apply', () => undefined);
    trace.close();
  }
  appendFileSync(one, '{"ph":"X","name":"cut o');
  const names = (await joined(root, one, join(root, 'missing'), two)).map((event) => event.name);
  const each = ['process_name', 'thread_name', 'apply'];
  assert.deepEqual(names, [...each, ...each]);
});

test('a file that cannot be opened is refused with a code', (context) => {
  const file = join(folder(context), 'none', 'part');
  assert.throws(() => openTrace({ file, process: 'p' }, 't'), {
    code: 'E_OUTPUT_PATH',
    message: `E_OUTPUT_PATH: ${file} cannot be written: no such file or directory; name another file`,
  });
});

test('without a target no file is written', (context) => {
  const root = folder(context);
  const trace = openTrace(null, 'compute');
  assert.equal(
    trace.timed('gradient', () => 1),
    1,
  );
  trace.stage('ring');
  trace.close();
  assert.equal(existsSync(join(root, 'part')), false);
});

test("a process's own file is whole JSON once it is closed by a bracket", (context) => {
  const part = join(folder(context), 'part');
  const trace = openTrace({ file: part, process: 'p' }, 't');
  trace.timed('a', () => undefined);
  trace.close();
  const text = readFileSync(part, 'utf8');
  assert.equal(z.array(eventSchema).parse(JSON.parse(`${text.trimEnd().slice(0, -1)}]`)).length, 3);
});
