import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EVALUATION } from './evaluation.fixture.js';
import { encodeEvaluation, parseEvaluation } from '#src/record/evaluation.js';

const refused = { code: 'E_EVALUATION_FORMAT' };

test('an evaluation is read back as it was written, and the file names its format', () => {
  const json = encodeEvaluation(EVALUATION);
  assert.deepEqual(parseEvaluation(json), EVALUATION);
  assert.match(json, /^\{\n {2}"format": "lockstep-evaluation",\n {2}"version": 1,\n/);
});

test('a text that is no evaluation is refused, saying what is wrong', () => {
  const change = (key: string, value: unknown): string =>
    JSON.stringify({ ...(JSON.parse(encodeEvaluation(EVALUATION)) as object), [key]: value });
  for (const [text, why] of [
    ['', /JSON/],
    ['{}', /format/],
    [change('version', 2), /version/],
    [change('extra', 1), /extra/],
    [change('precision', { samples: 1.5, floor: 1, ceiling: 0 }), /precision\.samples/],
    [change('frechetDistance', { samples: 1, floor: 1 }), /frechetDistance\.ceiling/],
    [change('noiseError', { heldOut: [1, 2, 3], training: [1, 2, 3, 4] }), /noiseError\.heldOut/],
  ] as const) {
    assert.throws(() => parseEvaluation(text), { ...refused, message: why });
  }
});

test('figures that are no numbers are not written', () => {
  assert.throws(() => encodeEvaluation({ ...EVALUATION, frechetDistanceOfTestSet: NaN }), refused);
});
