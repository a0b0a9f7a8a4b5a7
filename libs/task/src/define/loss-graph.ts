/**
 * The function of tensors that a worker compiles of a task's `loss`: its gradient by tfjs, flattened into [P], then the loss [1], then
 * a figure each.
 */
import type { Engine, Tensor, TensorSpec } from '@lockstep/engine';
import type { TaskErrorCode } from '@lockstep/base';
import { TaskError } from '../errors.js';
import type { ParameterTable } from '../table/parameters.js';
import type { GradientFunction } from '../task.js';
import { calling, Found, shown } from './checks.js';
import type { InputDefinition, LossContext } from './definition.js';

export type LossGraph = {
  readonly loss: (context: LossContext) => unknown;
  readonly table: ParameterTable;
  readonly inputs: readonly InputDefinition[];
  readonly figures: readonly string[];
  readonly microbatchSize: number;
  /** The task's file, for messages. */
  readonly file: string;
};

/** The gradient of the mean loss of a microbatch. Mistakes of `loss` are found when it is compiled: E_TASK_LOSS. */
export function lossGradient(engine: Engine, graph: LossGraph): GradientFunction {
  const { table, inputs, figures, microbatchSize: n } = graph;
  const P = table.reduce((sum, { size }) => sum + size, 0);
  const specs: TensorSpec[] = [
    { shape: [P], dtype: 'float32' },
    ...inputs.map(({ shape, dtype }) => ({ shape: [n, ...shape], dtype })),
  ];
  return {
    fn: ([weights, ...given]) => gradientOf(engine, graph, weights, given),
    specs,
    losses: 1,
    figures: figures.map((_, index) => 2 + index),
    targets: (into) => [into, null, ...figures.map(() => null)],
  };
}

/** The tensors of the flat array, by name. */
export function namedTensors({ tf }: Engine, table: ParameterTable, flat: Tensor): Tensor[] {
  return table.map(({ shape, offset, size }) => tf.reshape(tf.slice(flat, [offset], [size]), [...shape]));
}

function gradientOf(engine: Engine, graph: LossGraph, flat: Tensor, given: readonly Tensor[]): Tensor[] {
  const { tf } = engine;
  const { table, file } = graph;
  const named = byName('inputs', graph.inputs, given);
  let kept: Tensor[] = [];
  const forward = (parameters: readonly Tensor[]): Tensor => {
    const context = { tf, weights: byName('weights', table, parameters), inputs: named };
    const result = new Found(
      calling('loss', 'E_TASK_LOSS', file, () => graph.loss(context)),
      'what loss returns',
      'E_TASK_LOSS',
    );
    // The gradient's forward pass frees all that it made but the loss.
    kept = figuresOf(engine, result, graph.figures).map((figure) => tf.keep(figure));
    return scalar(engine, result.at('loss'), 'loss');
  };
  const parameters = namedTensors(engine, table, flat);
  const { value, grads } = calling('loss', 'E_TASK_LOSS', file, () =>
    // Not tf.valueAndGrads, which does not say of which parameter there is no gradient.
    tf.engine().gradients(() => forward(parameters), parameters, undefined, true),
  );
  const unused = table.filter((_, index) => !isTensor(engine, grads[index])).map(({ name }) => name);
  if (unused.length > 0)
    throw new TaskError(
      'E_TASK_LOSS',
      `loss of ${file} does not depend on ${unused.join(', ')}: use it, or leave it out of the parameters`,
    );
  const figures = kept.map((figure) => tf.reshape(figure, [1]));
  for (const figure of kept) figure.dispose();
  return [tf.concat(grads.map((gradient) => tf.reshape(gradient, [-1]))), tf.reshape(value, [1]), ...figures];
}

function figuresOf(engine: Engine, result: Found, names: readonly string[]): Tensor[] {
  const figures = result.at('figures');
  const given = figures.missing ? [] : Object.keys(figures.object());
  const unknown = given.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new TaskError(
      'E_TASK_LOSS',
      `loss returns the figure ${unknown}, which create does not name: write figures: [${JSON.stringify(unknown)}] there`,
    );
  return names.map((name) => {
    if (!given.includes(name))
      throw new TaskError(
        'E_TASK_LOSS',
        `loss returns no figure ${name}, which create names: return { loss, figures: { ${name} } }`,
      );
    return scalar(engine, figures.at(name), `figure ${name}`);
  });
}

function scalar(engine: Engine, found: Found, name: string): Tensor {
  const value = found.raw();
  if (!isTensor(engine, value)) return found.fail('it must be a tensor that operations of tf made');
  if (value.size !== 1)
    throw new TaskError(
      'E_TASK_LOSS',
      `loss returns a ${name} of shape [${value.shape.join()}], not one number: take tf.mean of it`,
    );
  if (value.dtype !== 'float32')
    throw new TaskError('E_TASK_LOSS', `loss returns a ${name} of ${value.dtype}: cast it by tf.cast(x, 'float32')`);
  return value;
}

function isTensor({ tf }: Engine, value: unknown): value is Tensor {
  return value instanceof tf.Tensor;
}

/** Tensors by name; a name that there is not is an error that says which there are. */
export function byName(
  what: string,
  entries: readonly { readonly name: string }[],
  tensors: readonly Tensor[],
  code: TaskErrorCode = 'E_TASK_LOSS',
): Readonly<Record<string, Tensor>> {
  const record = Object.fromEntries(entries.map(({ name }, index) => [name, tensors[index]]));
  return new Proxy(record, {
    get(target, name, receiver): unknown {
      if (typeof name !== 'string' || Object.hasOwn(target, name)) return Reflect.get(target, name, receiver);
      throw new TaskError(code, `${what}[${shown(name)}] is not there: there are ${Object.keys(target).join(', ')}`);
    },
  });
}
