import assert from 'node:assert/strict';
import { test } from 'node:test';

import { WHOLE_SAMPLER } from '../goldens.fixture.js';
import { fillNormal, STREAMS } from '@lockstep/task';
import { clippedEps, levelAt } from '#src/sampling/reverse.js';
import { sample, sampleSteps } from '#src/sampling/sampler.js';
import type { EpsFunction, SampleRequest, SamplerConfig } from '#src/sampling/sampler.js';
import { makeSchedule } from '#src/training/schedule.js';

const LINEAR = makeSchedule({ kind: 'linear', T: 1000, firstBeta: 1e-4, lastBeta: 0.02 });

/** Exact eps for data N(0.3, 0.5^2). */
const exactEps: EpsFunction = (x, t) => {
  const alphaBar = LINEAR.alphaBar[t];
  const k = Math.sqrt(1 - alphaBar) / (0.25 * alphaBar + 1 - alphaBar);
  return x.map((value) => k * (value - Math.sqrt(alphaBar) * 0.3));
};

const DDPM: SamplerConfig = { kind: 'ddpm', steps: 20, variance: 'posterior', clip: false };
const DPMPP2M: SamplerConfig = { kind: 'dpmpp2m', steps: 20, clip: false };
const DDIM: SamplerConfig = { kind: 'ddim', steps: 20, eta: 0, clip: false };

function request(change: Partial<SampleRequest>): SampleRequest {
  const shape = { rows: 1, columns: 1, channels: 3 };
  return { schedule: LINEAR, sampler: DDIM, eps: exactEps, seed: 1, firstImage: 0, count: 2, shape, ...change };
}

const CLOSED_FORM: readonly (readonly [string, SamplerConfig, { mean: number; std: number }])[] = [
  ['DDIM of 50 steps', { ...DDIM, steps: 50 }, WHOLE_SAMPLER.linearDdim50],
  ['DPM-Solver++ 2M of 20 steps', DPMPP2M, WHOLE_SAMPLER.linearDpmpp2m20],
  ['DDPM of 1000 steps', { ...DDPM, steps: 1000, variance: 'beta' }, WHOLE_SAMPLER.linearSigmaSqrtBeta],
];

for (const [name, sampler, golden] of CLOSED_FORM) {
  test(`${name} on real noise gives the mean and deviation of the closed form within five standard errors`, () => {
    const x = sample(request({ sampler, count: 512, shape: { rows: 2, columns: 4, channels: 1 } }));
    const mean = x.reduce((sum, value) => sum + value / x.length, 0);
    const std = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2 / x.length, 0));
    assert.ok(Math.abs(mean - golden.mean) < (5 * golden.std) / Math.sqrt(x.length), `mean ${mean}`);
    assert.ok(Math.abs(std - golden.std) < (5 * golden.std) / Math.sqrt(2 * x.length), `std ${std}`);
  });
}

for (const sampler of [DDPM, DDIM, DPMPP2M, { ...DDIM, eta: 0.5 }, { ...DDPM, clip: true }]) {
  test(`image 5 has the same pixels in any batch: ${JSON.stringify(sampler)}`, () => {
    const alone = sample(request({ sampler, firstImage: 5, count: 1 }));
    const among = sample(request({ sampler, firstImage: 3, count: 4 }));
    assert.deepEqual(among.subarray(6, 9), alone);
    assert.notDeepEqual(among.subarray(3, 6), alone);
  });
}

test('the network is asked at T first, then at each visited step down to the last, and never at 0', () => {
  const asked: number[] = [];
  const eps: EpsFunction = (x, t) => {
    asked.push(t);
    return x;
  };
  sample(request({ eps, sampler: { ...DDIM, steps: 4 } }));
  assert.deepEqual(asked, [1000, 750, 500, 250]);
});

test('DDIM with eta 0 and zero eps only rescales the start, by sqrt(alphaBar_0 / alphaBar_T)', () => {
  const start = new Float32Array(3);
  fillNormal(start, { seed: 1, stream: STREAMS.samplerStart, step: 0, position: 0 });
  const x = sample(request({ eps: (from) => new Float32Array(from.length), count: 1 }));
  const scale = 1 / Math.sqrt(LINEAR.alphaBar[1000]);
  start.forEach((value, i) => assert.ok(Math.abs(x[i] - value * scale) < 1e-5 * Math.abs(value * scale)));
});

test('a sampler without noise of its own takes each pixel where the closed form does', () => {
  const start = new Float32Array(3);
  fillNormal(start, { seed: 1, stream: STREAMS.samplerStart, step: 0, position: 0 });
  for (const [name, sampler, golden] of CLOSED_FORM) {
    if (sampler.kind === 'ddpm') continue;
    const x = sample(request({ sampler, count: 1 }));
    start.forEach((z, i) => assert.ok(Math.abs(x[i] - golden.mean - golden.std * z) < 1e-4, `${name}: ${x[i]}`));
  }
});

test('a clipped DDIM goes on with the eps of the clipped image; with the old eps its x_t is far from any the network was trained on', () => {
  // x0 is 2 at every step: clipped to 1, whose noise the re-derived eps is.
  const bright: EpsFunction = (x, t) => {
    const { signal, noise } = levelAt(LINEAR, t);
    return x.map((value) => (value - 2 * signal) / noise);
  };
  const halfWay = (eps: EpsFunction): Float32Array => {
    const steps = sampleSteps(request({ eps, sampler: { ...DDIM, steps: 2, clip: true } }));
    const { value } = steps.next();
    assert.ok(!(value instanceof Float32Array));
    return value.x.slice();
  };
  const start = new Float32Array(6);
  [0, 1].forEach((position) => {
    const image = start.subarray(3 * position, 3 * position + 3);
    fillNormal(image, { seed: 1, stream: STREAMS.samplerStart, step: 0, position });
  });
  const [from, to] = [levelAt(LINEAR, 1000), levelAt(LINEAR, 500)];
  halfWay(bright).forEach((x, i) => {
    const eps = (start[i] - from.signal) / from.noise;
    assert.ok(Math.abs(x - (to.signal + to.noise * eps)) < 1e-5, `${x}`);
  });
  // At t = 200 the two differ by what the brightness of 1 too much is in units of noise: more than a standard deviation.
  const [level, x] = [levelAt(LINEAR, 200), 1.5];
  const [old] = bright(Float32Array.of(x), 200);
  const used = clippedEps(level, x, old);
  assert.ok(Math.abs(level.signal + level.noise * used - x) < 1e-7);
  assert.ok(Math.abs(level.signal + level.noise * old - x) > 0.8);
  assert.ok(Math.abs(used - old) > 1);
});

test('with clipping, every sampler ends inside -1..1 whatever the network says; without, DDPM drifts outside', () => {
  const wild: EpsFunction = (x) => x.map((value) => -3 * value);
  for (const sampler of [DDPM, DDIM, DPMPP2M]) {
    const clipped = sample(request({ eps: wild, sampler: { ...sampler, clip: true } }));
    assert.ok(
      clipped.every((value) => Math.abs(value) <= 1 + 1e-6),
      clipped.join(' '),
    );
  }
  assert.ok(sample(request({ eps: wild, sampler: DDPM })).some((value) => Math.abs(value) > 1));
});

test("a DDPM of one step is the network's estimate of the image, without noise", () => {
  const start = new Float32Array(3);
  fillNormal(start, { seed: 1, stream: STREAMS.samplerStart, step: 0, position: 0 });
  const x = sample(request({ count: 1, sampler: { ...DDPM, steps: 1 } }));
  const eps = exactEps(start, 1000);
  const alphaBar = LINEAR.alphaBar[1000];
  start.forEach((value, i) => {
    const x0 = (value - Math.sqrt(1 - alphaBar) * eps[i]) / Math.sqrt(alphaBar);
    assert.ok(Math.abs(x[i] - x0) < 1e-4, `${x[i]} ${x0}`);
  });
});

test('another seed draws other images', () => {
  assert.notDeepEqual(sample(request({ seed: 2 })), sample(request({})));
});

test('step by step, progress is told after every step, and the images are the same', () => {
  const whole = request({ sampler: { ...DDIM, steps: 3 } });
  const steps = sampleSteps(whole);
  for (const done of [1, 2, 3]) {
    const { done: ended, value } = steps.next();
    assert.ok(ended === false && !(value instanceof Float32Array));
    assert.deepEqual([value.done, value.steps, value.x.length], [done, 3, 6]);
  }
  assert.deepEqual(steps.next(), { done: true, value: sample(whole) });
});

test('impossible requests are refused with their code', () => {
  const bad: Partial<SampleRequest>[] = [
    { sampler: { ...DDIM, steps: 0 } },
    { sampler: { ...DDIM, steps: 1001 } },
    { sampler: { kind: 'ddim', steps: 10, eta: 1.5, clip: false } },
    { count: 0 },
    { eps: () => new Float32Array(1) },
  ];
  for (const change of bad) {
    assert.throws(() => sample(request(change)), { code: 'E_SAMPLER' }, JSON.stringify(change));
  }
});
