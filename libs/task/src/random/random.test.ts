import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { ppnd16 } from '#src/random/normal.js';
import { blocksOf, boundedIntegers, fillNormal, openUniform, STREAMS } from '#src/random/random.js';
import type { RandomKey } from '#src/random/random.js';

const KEY: RandomKey = { seed: 7, stream: STREAMS.noise, step: 3, position: 5 };

function normals(count: number, change: Partial<RandomKey> = {}): Float32Array {
  const out = new Float32Array(count);
  fillNormal(out, { ...KEY, ...change });
  return out;
}

/** Quantiles to 16 digits from an independent implementation. */
const QUANTILES: readonly (readonly [number, number])[] = [
  [0.5, 0],
  [0.25, -0.6744897501960817],
  [0.07, -1.4757910281791702],
  [0.9, 1.2815515655446008],
  [0.975, 1.959963984540054],
  [1e-3, -3.090232306167813],
  [0.999999, 4.753424308817089],
  [1e-10, -6.361340902404056],
  [2 ** -33, -6.337957754553789],
  [1e-20, -9.262340089798405],
];

for (const [p, z] of QUANTILES) {
  test(`the normal quantile of ${p} is ${z}`, () => {
    assert.ok(Math.abs(ppnd16(p) - z) <= 4e-16 * Math.abs(z), `${ppnd16(p)}`);
  });
}

test('the normal quantile is infinite at 0 and 1 and not a number outside', () => {
  assert.equal(ppnd16(0), -Infinity);
  assert.equal(ppnd16(1), Infinity);
  assert.ok(Number.isNaN(ppnd16(-0.1)));
  assert.ok(Number.isNaN(ppnd16(1.1)));
});

test('a word of all zeros or all ones gives a uniform number strictly inside 0..1', () => {
  assert.ok(openUniform(0) > 0);
  assert.ok(openUniform(0xffffffff) < 1);
});

test('normal numbers have mean 0, variance 1, skewness 0 and kurtosis 3 within five standard errors', () => {
  const count = 400_000;
  const moments = [0, 0, 0, 0];
  for (const z of normals(count)) {
    [z, z ** 2, z ** 3, z ** 4].forEach((power, i) => (moments[i] += power / count));
  }
  // Variances of z, z^2, z^3 and z^4 for a standard normal z.
  [1, 2, 15, 96].forEach((variance, i) => {
    assert.ok(
      Math.abs(moments[i] - [0, 1, 0, 3][i]) < 5 * Math.sqrt(variance / count),
      `moment ${i + 1}: ${moments[i]}`,
    );
  });
});

test('a normal number depends on its key and index alone, not on how many are asked for or in what order', () => {
  const position = fc.integer({ min: 0, max: 1000 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 40 }),
      fc.uniqueArray(position, { minLength: 2, maxLength: 5 }),
      (count, positions) => {
        const forward = positions.map((p) => normals(count, { position: p }));
        const backward = positions.toReversed().map((p) => normals(count + 3, { position: p }).subarray(0, count));
        assert.deepEqual(forward, backward.toReversed());
      },
    ),
  );
});

test('seed, stream, step and position each give different numbers', () => {
  const first = normals(4);
  const changes: Partial<RandomKey>[] = [
    { seed: 8 },
    { seed: 7 + 2 ** 32 },
    { seed: 7 + 2 ** 52 },
    { stream: STREAMS.order },
    { step: 4 },
    { position: 6 },
    { step: 5, position: 3 },
  ];
  for (const change of changes) {
    assert.notDeepEqual(normals(4, change), first, JSON.stringify(change));
  }
});

test('a key outside the range is refused with its code', () => {
  for (const change of [
    { seed: -1 },
    { seed: 0.5 },
    { seed: 2 ** 53 },
    { step: 2 ** 32 },
    { step: -1 },
    { position: NaN },
  ]) {
    assert.throws(() => blocksOf({ ...KEY, ...change }), { code: 'E_RANDOM_KEY' }, JSON.stringify(change));
  }
});

test('bounded integers are uniform: every value of a small bound comes equally often within five standard errors', () => {
  const next = boundedIntegers(KEY);
  const draws = 60_000;
  const bound = 6;
  const seen = new Array<number>(bound).fill(0);
  for (let i = 0; i < draws; i++) {
    seen[next(bound)]++;
  }
  const expected = draws / bound;
  seen.forEach((times) =>
    assert.ok(Math.abs(times - expected) < 5 * Math.sqrt(expected * (1 - 1 / bound)), seen.join(' ')),
  );
});

test('a bound just above half of the word range does not favour small values', () => {
  // Without rejection the lower half of 0..bound-1 would come about twice as often.
  const bound = 3 * 2 ** 30;
  const next = boundedIntegers(KEY);
  const draws = 9000;
  let low = 0;
  for (let i = 0; i < draws; i++) {
    low += next(bound) < 2 ** 30 ? 1 : 0;
  }
  assert.ok(Math.abs(low - draws / 3) < 5 * Math.sqrt(draws * (2 / 9)), `${low} of ${draws}`);
});
