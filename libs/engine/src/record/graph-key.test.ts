import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { testEngine } from '../engine.fixture.js';
import { canonicalJson, codeDigest, graphKey } from '#src/record/graph-key.js';
import type { JsonValue } from '@lockstep/base';

const engine = testEngine();
const VECTOR = { shape: [4], dtype: 'float32' } as const;
const IDENTITY = { name: 'f', parameters: { width: 3 }, code: 'c0de' };

test('whatever may change a graph changes its key', () => {
  const keys = [
    graphKey(engine, IDENTITY, [VECTOR]),
    graphKey(engine, { ...IDENTITY, name: 'g' }, [VECTOR]),
    graphKey(engine, { ...IDENTITY, parameters: { width: 4 } }, [VECTOR]),
    graphKey(engine, { ...IDENTITY, code: 'c0df' }, [VECTOR]),
    graphKey(engine, IDENTITY, [{ ...VECTOR, shape: [5] }]),
    graphKey(engine, IDENTITY, [{ ...VECTOR, shape: [4, 1] }]),
    graphKey(engine, IDENTITY, [{ ...VECTOR, dtype: 'int32' }]),
    graphKey(engine, IDENTITY, [{ ...VECTOR, data: new Float32Array(4) }]),
    graphKey(engine, IDENTITY, [{ ...VECTOR, data: Float32Array.of(0, 0, 0, 1) }]),
    graphKey(engine, IDENTITY, [VECTOR, VECTOR]),
    ...Object.keys(engine.identity).map((name) =>
      graphKey({ ...engine, identity: { ...engine.identity, [name]: 'other' } }, IDENTITY, [VECTOR]),
    ),
    graphKey({ ...engine, native: !engine.native }, IDENTITY, [VECTOR]),
    graphKey({ ...engine, options: { ...engine.options, directory: '/cache/engine/other' } }, IDENTITY, [VECTOR]),
  ];
  assert.equal(new Set(keys).size, keys.length);
});

test('where the engine and the graphs lie is no part of the key, nor the order in which parameters are named', () => {
  const at = (directory: string): string =>
    graphKey({ ...engine, options: { ...engine.options, directory, graphs: directory } }, IDENTITY, [VECTOR]);
  assert.equal(at('/a/engine/key'), at('/b/engine/key'));
  const named = (parameters: JsonValue): string => graphKey(engine, { ...IDENTITY, parameters }, [VECTOR]);
  assert.equal(named({ a: 1, b: [{ c: 2, d: 3 }] }), named({ b: [{ d: 3, c: 2 }], a: 1 }));
});

test('a code digest changes with the name and the content of every JavaScript file below the folder, and with nothing else', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-code-'));
  const digest = (): string => codeDigest(pathToFileURL(`${folder}/`));
  const change = (name: string, content: string): boolean => {
    const before = digest();
    writeFileSync(join(folder, name), content);
    return digest() !== before;
  };
  try {
    const empty = digest();
    assert.ok(change('index.js', 'export {};'));
    assert.ok(change('other.js', '1'));
    assert.ok(change('other.js', '2'));
    // What moves from one file to the next, or into a name, is another code.
    assert.ok(change('a.js', 'xb.js'));
    assert.equal(change('index.d.ts', 'export {};'), false);
    assert.equal(change('index.js.map', '{}'), false);
    mkdirSync(join(folder, 'other'));
    assert.equal(change('other/inner.txt', ''), false);
    assert.ok(change('other/inner.js', ''));
    assert.notEqual(digest(), empty);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('canonical JSON is JSON, the same for equal values in any order of keys, and different for different ones', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([name, item]) => [name, shuffled(item)]),
    );
  };
  const isJson = (value: unknown): value is JsonValue => JSON.stringify(value) !== undefined;
  const plain = fc.jsonValue({ noUnicodeString: false }).map((value): unknown => JSON.parse(JSON.stringify(value)));
  fc.assert(
    fc.property(plain, plain, (a, b) => {
      const other = shuffled(a);
      assert.ok(isJson(a) && isJson(b) && isJson(other));
      assert.deepEqual(JSON.parse(canonicalJson(a)), a);
      assert.equal(canonicalJson(other), canonicalJson(a));
      assert.equal(canonicalJson(a) === canonicalJson(b), isSame(a, b));
    }),
  );
  for (const number of [NaN, Infinity, -Infinity, -0]) assert.throws(() => canonicalJson([{ number }]), TypeError);
});

function isSame(a: unknown, b: unknown): boolean {
  try {
    assert.deepStrictEqual(a, b);
    return true;
  } catch {
    return false;
  }
}
