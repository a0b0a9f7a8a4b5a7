/**
 * What a graph cannot repeat, refused while a function is recorded: ops whose result is not a function of their inputs, ops
 * whose output's shape follows from values, and calls that change something outside.
 */
import type { TF } from '../device/binding.js';
import type { EngineErrorCode } from '@lockstep/base';

/**
 * Stateful ops of TensorFlow 2.21 (TF_GetAllOpList, `is_stateful`) that take and give numbers and run on a CPU or GPU. Those
 * on resources and strings are refused for their tensors' type; CheckNumerics and GuaranteeConst give the same each time.
 */
const STATEFUL =
  /^(Random(Crop|Gamma|Poisson|PoissonV2|Shuffle|StandardNormal|Uniform|UniformInt)$|Multinomial$|(Parameterized)?TruncatedNormal|SampleDistortedBoundingBox|StatelessRandomGetAlg|NonDeterministicInts|\w+CandidateSampler|CudnnRNN|Print|Assert$|(Eager)?PyFunc$|Timestamp|Empty$|DumpTensor|DebugIdentityV|(Ordered)?Map(Clear|IncompleteSize|Peek|Size|Stage|Unstage)|Stage|Unstage|\w+Sparse(To|From)TensorsMap|Collective|Nccl|Infeed|Outfeed|(Send|Recv)$|StatefulPartitionedCall)/;

/** Ops whose output has as many elements as the values say: the graph's shapes would be the example's. */
const SHAPED_BY_VALUES =
  /^(Where|Unique(V2|WithCounts|WithCountsV2)?|ListDiff|NonMaxSuppression(V\d|WithOverlaps)?|DynamicPartition|(Sparse|Ragged|Dense)Bincount|Bincount)$/;

/** Ends the recording with this error, also where the function catches it. */
export type Fail = (code: EngineErrorCode, message: string) => never;

/** Fails for an op that a graph would not repeat. */
export function checkOp(op: string, fail: Fail): void {
  if (STATEFUL.test(op))
    fail(
      'E_ENGINE_UNSUPPORTED',
      `op ${op} gives something else each time, or acts outside the graph; draw and print outside the function`,
    );
  if (SHAPED_BY_VALUES.test(op))
    fail(
      'E_ENGINE_UNSUPPORTED',
      `op ${op} gives a tensor whose shape depends on values, and a graph has fixed shapes; use a mask, or do it outside`,
    );
}

/**
 * While the returned function has not been called, Math.random, tf.variable and Variable.assign fail. tfjs draws on the host
 * with Math.random unless a seed is given; two draws can be equal, so that comparing two recordings would not find them all.
 */
export function guardHost(tf: TF, fail: Fail): () => void {
  const engine = tf.engine();
  const undo = [
    replace(Math, 'random', () =>
      fail(
        'E_ENGINE_IMPURE',
        'Math.random is called inside the function, by tf.randomNormal, tf.dropout or the like; draw outside and hand the numbers in, or give a seed for the same numbers each time',
      ),
    ),
    replace(engine, 'makeVariable', () =>
      fail('E_ENGINE_SIDE_EFFECT', 'the function makes a tf.Variable; make it outside, and hand in its value'),
    ),
    replace(tf.Variable.prototype, 'assign', () =>
      fail(
        'E_ENGINE_SIDE_EFFECT',
        'the function assigns to a tf.Variable; return the new value, and assign it outside',
      ),
    ),
  ];
  return () => undo.forEach((restore) => restore());
}

function replace(target: object, name: string, value: () => never): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, { value, configurable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, before);
  };
}
