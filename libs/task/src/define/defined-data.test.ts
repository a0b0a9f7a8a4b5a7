import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SampleRandom } from '#src/define/definition.js';
import { sampleRandom } from '#src/define/sample-random.js';
import { dataOf, fails, lineTask, POINTS } from './line.fixture.js';

const opening = (replaced: Record<string, unknown>) => () =>
  dataOf(lineTask({ open: () => ({ ...POINTS, ...replaced }) }));

test('what open returns is looked at, and what is wrong named', () => {
  fails(() => dataOf(lineTask({ open: () => undefined })), 'E_TASK_OPEN', /what open of .* returns is missing/);
  fails(opening({ count: 0 }), 'E_TASK_OPEN', /returns.count is 0/);
  fails(opening({ count: undefined }), 'E_TASK_OPEN', /returns.count is missing/);
  fails(opening({ inputs: [] }), 'E_TASK_OPEN', /list 1 to 64 inputs/);
  fails(opening({ batch: undefined }), 'E_TASK_OPEN', /returns.batch is missing/);
  fails(
    opening({ inputs: [{ name: 'x', shape: [2], dtype: 'float64' }] }),
    'E_TASK_OPEN',
    /dtype is "float64": use one of/,
  );
  const input = { name: 'x', shape: [2], dtype: 'float32' };
  fails(opening({ inputs: [input, input] }), 'E_TASK_OPEN', /inputs has the name "x" twice/);
});

test('what batch returns has an array of the right type and length for each input', () => {
  const [x, y] = [new Float32Array(6), new Float32Array(3)];
  const batch = (made: unknown) => opening({ batch: () => made });
  assert.equal(batch([x, y])().count, 10);
  fails(batch(undefined), 'E_TASK_BATCH', /batch returns missing: return a list of 2, one for each of x, y/);
  fails(batch([x]), 'E_TASK_BATCH', /batch returns 1 arrays: return a list of 2/);
  fails(
    batch([new Float32Array(5), y]),
    'E_TASK_BATCH',
    /a Float32Array of 5 for x: return a Float32Array of 6, for 3 samples of \[2\]/,
  );
  fails(batch([x, [1, 2, 3]]), 'E_TASK_BATCH', /batch returns \[1,2,3\] for y/);
  fails(batch([x, new Int32Array(3)]), 'E_TASK_BATCH', /an? Int32Array of 3 for y: return a Float32Array of 3/);
  const thrown = (): never => {
    throw new Error('index beyond the data');
  };
  fails(opening({ batch: thrown }), 'E_TASK_BATCH', /batch of .* threw Error: index beyond the data/);
});

test('a batch that is another one each time is refused', () => {
  let calls = 0;
  const batch = (): Float32Array[] => [new Float32Array(6).fill(calls++), new Float32Array(3)];
  fails(opening({ batch }), 'E_TASK_IMPURE', /asked twice for the same samples, gives different numbers/);
});

test('the random numbers of a sample belong to it, whatever the microbatch size', () => {
  const batch = (indices: Uint32Array, random: (place: number) => SampleRandom): Float32Array[] => [
    Float32Array.from([...indices].flatMap((_, place) => [random(place).uniform(), random(place).normal()])),
    new Float32Array(indices.length),
  ];
  const drawn = (microbatchSize: number): number[] => {
    const data = dataOf(lineTask({ microbatchSize, open: () => ({ ...POINTS, batch }) }));
    return Array.from({ length: 6 / microbatchSize }, (_, m) => [...data.prepare(5, 2, m).inputs[0]]).flat();
  };
  assert.deepEqual(drawn(2), drawn(6));
  assert.equal(new Set(drawn(6)).size, 12);
  fails(
    opening({ batch: (_: Uint32Array, random: (place: number) => SampleRandom) => [random(3)] }),
    'E_TASK_BATCH',
    /random\(3\): use a place from 0 to 2/,
  );
});

test('a stream gives uniform, normal and whole numbers within their bounds', () => {
  const random = sampleRandom({ seed: 1, stream: 64, step: 0, position: 0 });
  const drawn = Array.from({ length: 3000 }, () => random.integer(3));
  for (const value of [0, 1, 2]) assert.ok(Math.abs(drawn.filter((one) => one === value).length - 1000) < 150);
  const normal = Array.from({ length: 3000 }, () => random.normal());
  assert.ok(Math.abs(normal.reduce((sum, value) => sum + value, 0) / 3000) < 0.1);
  fails(() => random.integer(0), 'E_RANDOM_KEY', /integer\(0\)/);
});

test('the digest is of what was read, else of what the author says, else of the first microbatch', () => {
  const digest = (replaced: Record<string, unknown>) => opening(replaced)().digest;
  assert.match(digest({}), /^[0-9a-f]{64}$/);
  assert.equal(digest({}), digest({}));
  assert.notEqual(digest({}), digest({ count: 9 }));
  assert.notEqual(digest({}), digest({ batch: () => [new Float32Array(6), new Float32Array(3)] }));
  assert.notEqual(digest({ digest: 'one' }), digest({ digest: 'two' }));
  const reading = (path: string): string =>
    dataOf(
      lineTask({
        open: ({ lockstep }: { lockstep: { readFile(path: string | URL): Uint8Array } }) => {
          lockstep.readFile(path);
          return POINTS;
        },
      }),
    ).digest;
  assert.notEqual(reading(import.meta.filename), reading(new URL('line.fixture.js', import.meta.url).pathname));
  fails(() => reading('not-there.txt'), 'E_DATA_MISSING', /\/somewhere\/not-there.txt cannot be read/);
});
