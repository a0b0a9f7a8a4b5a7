/** Programs as bytes: the same back, and nothing that a native kernel could run astray on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeProgram, encodeProgram } from '#src/lower/encode.js';
import { INSTRUCTION_NAMES } from '#src/lower/instructions.js';
import type { Program } from '#src/lower/program.js';
import { EngineError } from '#src/errors.js';

const SPEC = { shape: [2, 3], dtype: 'float32' } as const;
/** x + (1, 2, 3), times itself. */
const PROGRAM: Program = {
  inputs: [SPEC],
  outputs: [SPEC],
  instructions: [
    { name: 'add', operands: [0, 1, 2, 2, 2, 3, 3, 1, 0, 1] },
    { name: 'mul', operands: [2, 2, 3, 1, 6, 1, 1] },
  ],
  stageEnds: [2],
  buffers: [
    { space: 2, offset: 0 },
    { space: 1, offset: 0 },
    { space: 0, offset: 16 },
    { space: 3, offset: 0 },
  ],
  arena: 32,
  constants: new Int32Array(Float32Array.of(1, 2, 3).buffer),
  info: { nodes: 4, ops: { Add: 1, Mul: 1 }, bytes: 100, digest: 'abc', peak: { planned: 128, withoutReuse: 128 } },
};

function fails(bytes: Uint8Array, label: string): void {
  assert.throws(
    () => decodeProgram(bytes),
    (error) => error instanceof EngineError && error.code === 'E_ENGINE_MODEL',
    label,
  );
}

/** The bytes with the header's JSON changed. */
function changed(change: (header: Record<string, unknown>) => void): Uint8Array {
  const bytes = Buffer.from(encodeProgram(PROGRAM));
  const end = bytes.indexOf('\n');
  const header = JSON.parse(bytes.subarray(0, end).toString()) as Record<string, unknown>;
  change(header);
  return Buffer.concat([Buffer.from(JSON.stringify(header)), bytes.subarray(end)]);
}

test('a program comes back from its bytes, wherever these lie', () => {
  const bytes = encodeProgram(PROGRAM);
  assert.deepEqual(decodeProgram(bytes), PROGRAM);
  for (let shift = 0; shift < 4; shift++) {
    const moved = Buffer.concat([new Uint8Array(shift), bytes]).subarray(shift);
    assert.deepEqual(decodeProgram(moved), PROGRAM);
  }
  assert.deepEqual(decodeProgram(changed(() => undefined)), PROGRAM);
});

test('bytes that are cut anywhere are no program', () => {
  const bytes = encodeProgram(PROGRAM);
  for (let length = 0; length < bytes.length; length++) fails(bytes.subarray(0, length), `${length} bytes`);
});

test('a header with another type in any place is no program', () => {
  for (const name of [
    'format',
    'inputs',
    'outputs',
    'instructions',
    'stageEnds',
    'buffers',
    'arena',
    'constants',
    'info',
  ])
    for (const value of [null, -1, 0.5, 'x', [null], [[]], { peak: 1 }, undefined])
      fails(
        changed((header) => (header[name] = value)),
        `${name} ${JSON.stringify(value)}`,
      );
});

test('an instruction beyond its memory, of other operands or of another name is no program', () => {
  const instructions: Record<string, [string, ...number[]]> = {
    'a name that there is not': ['added', 0, 1, 2, 1, 6, 1, 1],
    'a name of every object': ['toString', 0, 1, 2],
    'an operand too few': ['add', 0, 1, 2, 1, 6, 1],
    'an operand too many': ['neg', 0, 2, 6, 6],
    'a rank below zero': ['add', 0, 1, 2, -1],
    'a count beyond the input': ['neg', 0, 2, 7],
    'a count beyond the arena': ['copy', 1, 2, 1, 17, 0, 1],
    'a stride beyond the constants': ['copy', 1, 2, 1, 3, 2, 1],
    'a stride backwards': ['copy', 1, 2, 1, 3, -1, 1],
    'a buffer that there is not': ['neg', 4, 2, 3],
    'an output that is left out': ['neg', 0, -1, 6],
    'nothing at all': ['neg', 0, 2, 0],
  };
  for (const [label, instruction] of Object.entries(instructions))
    fails(
      changed((header) => (header['instructions'] = [instruction, ['neg', 0, 3, 6]])),
      label,
    );
  fails(
    changed((header) => (header['stageEnds'] = [2, 1])),
    'a stage that ends before the one before it',
  );
  fails(
    changed((header) => (header['stageEnds'] = [1])),
    'instructions after the last stage',
  );
});

test('no instruction takes no operands', () => {
  for (const name of INSTRUCTION_NAMES)
    fails(
      changed((header) => Object.assign(header, { instructions: [[name]], stageEnds: [1] })),
      name,
    );
});
