import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AttrType, DataType } from '#src/device/binding.js';
import { EngineError } from '#src/errors.js';
import { GraphBuilder } from '#src/record/graph-builder.js';
import { decodeSavedModel } from '#src/record/saved-model-schema.js';

const nodesOf = (graph: GraphBuilder) => decodeSavedModel(graph.savedModel()).metaGraphs?.[0].graphDef?.node ?? [];

test('attributes of every kind come back from the bytes as they went in, negative ones included', () => {
  const integers = fc.maxSafeInteger();
  fc.assert(
    fc.property(
      integers,
      fc.array(integers, { minLength: 1 }),
      fc.boolean(),
      fc.string(),
      fc.float({ noNaN: true }),
      (i, list, b, s, f) => {
        const graph = new GraphBuilder();
        const attributes = [
          { name: 'i', type: AttrType.int, value: i },
          { name: 'list', type: AttrType.int, value: list },
          { name: 'b', type: AttrType.bool, value: b },
          { name: 's', type: AttrType.string, value: s },
          { name: 'f', type: AttrType.float, value: f },
          { name: 'shape', type: AttrType.shape, value: list },
        ];
        graph.op('Some', attributes, [], 1);
        const attr: Record<string, unknown> = { ...nodesOf(graph)[0].attr };
        assert.deepEqual(attr['i'], { i });
        assert.deepEqual(attr['list'], { list: { i: list } });
        assert.deepEqual(attr['b'], { b });
        assert.deepEqual(attr['s'], { s: Buffer.from(s) });
        assert.deepEqual(attr['f'], { f });
        // A zero is the wire format's default and takes no bytes.
        assert.deepEqual(attr['shape'], { shape: { dim: list.map((size) => (size === 0 ? {} : { size })) } });
      },
    ),
    { numRuns: 100 },
  );
});

test('small equal constants are one node, those that differ in type, shape or bytes are not', () => {
  const graph = new GraphBuilder();
  const data = Uint8Array.of(1, 0, 0, 0);
  const first = graph.constant({ dtype: DataType.int32, shape: [] }, data);
  assert.equal(graph.constant({ dtype: DataType.int32, shape: [] }, data.slice()), first);
  graph.constant({ dtype: DataType.int32, shape: [1] }, data);
  graph.constant({ dtype: DataType.float32, shape: [] }, data);
  graph.constant({ dtype: DataType.int32, shape: [] }, Uint8Array.of(2, 0, 0, 0));
  assert.deepEqual(
    nodesOf(graph).map(({ name }) => name),
    ['c0', 'c1', 'c2', 'c3'],
  );
});

test('a constant keeps the bytes that it was given, though the array changes later', () => {
  const graph = new GraphBuilder();
  const data = Uint8Array.of(7, 7, 7, 7);
  graph.constant({ dtype: DataType.float32, shape: [] }, data);
  data.fill(0);
  const { value } = nodesOf(graph)[0].attr;
  assert.ok('tensor' in value);
  assert.deepEqual([...value.tensor.tensorContent], [7, 7, 7, 7]);
});

test('a value varies where any input of its op varies', () => {
  const graph = new GraphBuilder();
  const [input, constant] = [
    graph.input({ dtype: 1, shape: [2] }),
    graph.constant({ dtype: 1, shape: [] }, new Uint8Array(4)),
  ];
  const [fixed] = graph.op('Neg', [], [constant], 1);
  const [, second] = graph.op('Pair', [], [fixed, input], 2);
  assert.equal(fixed.varies, false);
  assert.equal(second.varies, true);
  assert.equal(second.ref, 'n1:1');
});

test('an attribute of an unknown kind is an error that names it and its op', () => {
  const act = () => new GraphBuilder().op('Strange', [{ name: 'odd', type: 77, value: {} }], [], 1);
  assert.throws(
    act,
    (error) =>
      error instanceof EngineError && error.code === 'E_ENGINE_UNSUPPORTED' && /odd of op Strange/.test(error.message),
  );
});
