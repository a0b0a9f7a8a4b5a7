import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

import { initialParameters, parameterTable } from '#src/network/model.js';
import { parameterCount, tensorOf } from '@lockstep/task';
import { PRESET_NAMES, presetOf, PRESETS } from '#src/recipe/presets.js';
import type { UNetConfig } from '#src/network/unet-layers.js';

/** That of the benchmarks: twice the default's width, without labels. */
const WIDE = { ...PRESETS.default.model, base: 32, classes: 0 };

test('the network of the benchmarks has 764,929 parameters', () => {
  assert.equal(parameterCount(parameterTable(WIDE)), 764_929);
});

test('a conditional network is the same with one tensor more: a row for each of ten classes and one for none', () => {
  const table = parameterTable({ ...WIDE, classes: 10 });
  const unconditional = parameterTable(WIDE);
  assert.deepEqual(
    table
      .filter(({ name }) => !unconditional.some((span) => span.name === name))
      .map(({ name, shape }) => [name, shape]),
    [['class_embedding.weight', [11, 128]]],
  );
  assert.equal(parameterCount(table), 764_929 + 11 * 128);
  const rows = tensorOf(table, initialParameters({ ...WIDE, classes: 10 }, 1), 'class_embedding.weight');
  const variance = rows.reduce((sum, w) => sum + w * w, 0) / rows.length;
  assert.ok(Math.abs(variance - 1) < 5 * Math.sqrt(2 / rows.length), `${variance}`);
});

test('the tiny network has less than 25,000 parameters', () => {
  assert.ok(parameterCount(parameterTable(PRESETS.tiny.model)) < 25_000);
});

for (const name of PRESET_NAMES) {
  test(`the ${name} table is contiguous, in order, and names every tensor once`, () => {
    const table = parameterTable(presetOf(name).model);
    let end = 0;
    for (const { offset, size, shape } of table) {
      assert.equal(offset, end);
      assert.equal(
        size,
        shape.reduce((product, extent) => product * extent, 1),
      );
      end += size;
    }
    assert.equal(new Set(table.map((span) => span.name)).size, table.length);
  });
}

test('the table starts with the time embedding and uses the names and layouts that are documented', () => {
  const table = parameterTable(WIDE);
  const shape = (name: string) => table.find((span) => span.name === name)?.shape;
  assert.equal(table[0].name, 'time.linear1.weight');
  assert.deepEqual(shape('time.linear1.weight'), [32, 128]);
  assert.deepEqual(shape('conv_in.weight'), [3, 3, 1, 32]);
  assert.deepEqual(shape('down.1.skip.weight'), [1, 1, 32, 64]);
  assert.deepEqual(shape('up.2.norm1.weight'), [128]);
  assert.deepEqual(shape('conv_out.bias'), [1]);
});

test('initial weights lie within 1/sqrt(fan-in) and fill that range, norms are 1 and 0, and the last convolution is zero', () => {
  const table = parameterTable(WIDE);
  const flat = initialParameters(WIDE, 1);
  const of = (name: string): Float32Array => tensorOf(table, flat, name);
  for (const [name, fanIn] of [
    ['down.1.conv2.weight', 576],
    ['down.0.time.weight', 128],
    ['down.1.conv2.bias', 576],
  ] as const) {
    const bound = 1 / Math.sqrt(fanIn);
    const largest = Math.max(...of(name).map(Math.abs));
    assert.ok(largest <= Math.fround(bound) && largest > 0.9 * bound, `${name}: ${largest} of ${bound}`);
  }
  const weight = of('middle.block1.conv1.weight');
  const bound = 1 / Math.sqrt(576);
  const variance = weight.reduce((sum, w) => sum + w * w, 0) / weight.length;
  // The sample variance of n uniform numbers has the relative standard error sqrt(0.8 / n).
  assert.ok(Math.abs(variance / ((bound * bound) / 3) - 1) < 5 * Math.sqrt(0.8 / weight.length), `${variance}`);
  assert.ok(of('up.0.norm2.weight').every((w) => w === 1));
  assert.ok(of('up.0.norm2.bias').every((w) => w === 0));
  assert.ok(of('conv_out.weight').every((w) => w === 0) && of('conv_out.bias').every((w) => w === 0));
});

test('initial weights are a function of the seed, and no two tensors share their numbers', () => {
  const table = parameterTable(WIDE);
  const flat = initialParameters(WIDE, 7);
  assert.deepEqual(initialParameters(WIDE, 7), flat);
  assert.notDeepEqual(initialParameters(WIDE, 8), flat);
  const first = tensorOf(table, flat, 'middle.block1.conv1.weight');
  assert.notDeepEqual(tensorOf(table, flat, 'middle.block1.conv2.weight'), first);
});

test('configs that cannot be built are refused with their code', () => {
  const bad: Partial<UNetConfig>[] = [
    { base: 0 },
    { base: 31 },
    { base: 36 },
    { groups: 0.5 },
    { base: 8 },
    { imageSize: 30 },
    { channelMultipliers: [] },
    { channelMultipliers: [1, 0] },
    { channels: -1 },
    { timeEmbedding: 0 },
    { classes: -1 },
    { classes: 2.5 },
  ];
  for (const change of bad) {
    assert.throws(() => parameterTable({ ...WIDE, ...change }), { code: 'E_MODEL_CONFIG' }, JSON.stringify(change));
  }
});

test('a tensor that is not there, or parameters of the wrong length, are refused with their code', () => {
  const table = parameterTable(PRESETS.tiny.model);
  const flat = initialParameters(PRESETS.tiny.model, 1);
  assert.throws(() => tensorOf(table, flat, 'nothing'), { code: 'E_PARAMETERS' });
  assert.throws(() => tensorOf(table, flat.subarray(1), 'conv_in.bias'), { code: 'E_PARAMETERS' });
});

test('an unknown preset is refused with its code and the names there are', () => {
  assert.throws(() => presetOf('toString'), { code: 'E_PRESET', message: /default, .*tiny/ });
});

test('importing the library and making initial weights loads no TensorFlow', () => {
  const script = `
    const { initialParameters, PRESETS } = await import(${JSON.stringify(import.meta.resolve('#src/index.js'))});
    initialParameters(PRESETS.tiny.model, 1);
    const { createRequire } = await import('node:module');
    const loaded = Object.keys(createRequire(import.meta.url).cache ?? {});
    process.stdout.write(String(loaded.filter((path) => path.includes('tfjs')).length));`;
  assert.equal(execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }), '0');
});
