import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PRESETS } from '@lockstep/diffusion';
import {
  chosenCells,
  chosenCondition,
  chosenSampler,
  type ClassChoice,
  type SamplerChoice,
} from '#src/draw/options.js';

const { model } = PRESETS.default;
const USUAL = { kind: 'ddim', steps: 10, eta: 0.3, clip: false } as const;

const sampler = (choice: Partial<SamplerChoice>) =>
  chosenSampler(USUAL, { sampler: null, steps: null, eta: null, variance: null, ...choice });
const choice = (more: Partial<ClassChoice>): ClassChoice => ({
  class: null,
  allClasses: false,
  guidance: null,
  ...more,
});
const CELLS = { rows: 2, columns: 3 };

test("without options the sampler is the recipe's, and each option changes its own part", () => {
  assert.deepEqual(sampler({}), USUAL);
  assert.deepEqual(sampler({ steps: 7 }), { ...USUAL, steps: 7 });
  assert.deepEqual(sampler({ eta: 1 }), { ...USUAL, eta: 1 });
  assert.deepEqual(sampler({ sampler: 'ddim' }), { ...USUAL, steps: 50 });
});

test('another sampler than the recipe has comes with its usual steps', () => {
  assert.deepEqual(sampler({ sampler: 'dpmpp2m' }), { kind: 'dpmpp2m', steps: 20, clip: true });
  assert.deepEqual(sampler({ sampler: 'ddpm', variance: 'posterior' }), {
    kind: 'ddpm',
    steps: 1000,
    variance: 'posterior',
    clip: true,
  });
});

test('an option of another sampler is refused with its code', () => {
  for (const wrong of [{ sampler: 'dpmpp2m', eta: 0 }, { variance: 'beta' }] as const)
    assert.throws(() => sampler(wrong), { code: 'E_SAMPLE_OPTION' });
});

test('a class is the label of every image, also of those that only fill the last batch', () => {
  const condition = chosenCondition(model, choice({ class: 7 }), CELLS);
  assert.deepEqual(condition, { labels: new Int32Array(8).fill(7), guidance: 2 });
});

test('without a class every class comes in turn, whatever the grid', () => {
  const { labels } = chosenCondition(model, choice({}), { rows: 3, columns: 4 }) ?? assert.fail();
  assert.deepEqual([...labels], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5]);
});

test('with a row a class, the rows are the classes', () => {
  const all = choice({ allClasses: true, guidance: 1.5 });
  const cells = chosenCells(model, all, CELLS);
  assert.deepEqual(cells, { rows: 10, columns: 3 });
  const { labels, guidance } = chosenCondition(model, all, cells) ?? assert.fail();
  assert.deepEqual([...labels.subarray(0, 7), labels[29], guidance], [0, 0, 0, 1, 1, 1, 2, 9, 1.5]);
});

test('no class is the label for none, without guidance', () => {
  const condition = chosenCondition(model, choice({ class: 'none' }), CELLS);
  assert.deepEqual(condition, { labels: new Int32Array(8).fill(10), guidance: 0 });
});

test('a network without classes needs no condition, and refuses one with its code', () => {
  const { model: plain } = PRESETS.tiny;
  assert.equal(chosenCondition(plain, choice({}), CELLS), null);
  for (const wrong of [{ class: 1 }, { class: 'none' }, { allClasses: true }, { guidance: 1 }] as const)
    assert.throws(() => chosenCondition(plain, choice(wrong), CELLS), { code: 'E_SAMPLE_UNCONDITIONAL' });
});

test('classes that there are not, and options that exclude each other, are refused with their codes', () => {
  assert.throws(() => chosenCondition(model, choice({ class: 10 }), CELLS), { code: 'E_LABEL' });
  for (const wrong of [{ class: 1, allClasses: true }, { class: 'none', guidance: 2 }, { guidance: 101 }] as const)
    assert.throws(() => chosenCondition(model, choice(wrong), CELLS), { code: 'E_SAMPLE_OPTION' });
});
