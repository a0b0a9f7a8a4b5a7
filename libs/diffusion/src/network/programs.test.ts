/** Networks as programs of the engine's own kernels: nothing of them is left to TensorFlow, and they give what they give op by op. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, runEager, type TensorSpec, type TypedArray } from '@lockstep/engine';
import { fillNormal, STREAMS } from '@lockstep/task';
import { floats, testEngine } from '../engine.fixture.js';
import type { ModelConfig } from '#src/network/model.js';
import { PRESETS } from '#src/recipe/presets.js';
import { gradientFunction, predictionFunction, type GraphFunction } from '#src/training/loss.js';

const engine = testEngine();
/** TensorFlow's ops alone. */
const plain = { ...engine, native: false };
const N = 2;
const SMALL = { ...PRESETS.default.model, base: 8, groups: 4, timeEmbedding: 16, imageSize: 12 } as const;

const MODELS: Readonly<Record<string, ModelConfig>> = {
  'the preset default': PRESETS.default.model,
  'the preset tiny': PRESETS.tiny.model,
  'the preset seed': PRESETS.seed.model,
  'channels that fill no vectors': { ...SMALL, base: 6, groups: 3, channelMultipliers: [1, 2] },
  'colour, two levels, no attention': { ...SMALL, channels: 3, channelMultipliers: [1, 3], attentionAt: 'nowhere' },
  'one level': { ...SMALL, channelMultipliers: [2], classes: 0 },
};

/** Numbers for every input, of the size that they have in training. */
function inputsFor(specs: readonly TensorSpec[]): TypedArray[] {
  return specs.map(({ shape, dtype }, index) => {
    const length = shape.reduce((product, size) => product * size, 1);
    if (dtype === 'int32') return Int32Array.from({ length }, (_, at) => at % 3);
    const numbers = new Float32Array(length);
    fillNormal(numbers, { seed: 1, stream: STREAMS.noise, step: index, position: 0 });
    return index === 0 ? numbers.map((number) => 0.1 * number) : numbers;
  });
}

function check(
  make: (from: typeof engine) => GraphFunction & { readonly stages?: readonly (readonly number[])[] },
): void {
  const { fn, specs, stages } = make(engine);
  const compiled = compile(engine, fn, specs, stages === undefined ? {} : { stages });
  assert.deepEqual(compiled.info.uncovered, []);
  assert.equal(compiled.info.runsOn, 'program');
  const inputs = inputsFor(specs);
  const found = compiled.run(inputs);
  compiled.dispose();
  const reference = make(plain);
  for (const [index, expected] of runEager(plain, reference.fn, reference.specs, inputs).map(floats).entries()) {
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const error = expected.reduce((most, value, at) => Math.max(most, Math.abs(value - found[index][at])), 0);
    assert.ok(largest > 0 && error <= 2e-5 * largest, `output ${index}: ${error} of ${largest}`);
  }
}

for (const [name, model] of Object.entries(MODELS)) {
  test(`${name}: the gradient is a program, and that of TensorFlow's ops`, () => {
    check((from) => gradientFunction(from, model, N, 'v'));
  });

  test(`${name}: the prediction is a program, and that of TensorFlow's ops`, () => {
    check((from) => predictionFunction(from, model, N));
  });
}
