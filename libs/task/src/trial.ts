/** A task's gradient, looked at before it is trusted: what a worker does once, between compiling it and taking part in a run. */
import type { Compiled } from '@lockstep/engine';
import { TaskError } from './errors.js';
import type { GradientFunction, Task, TaskData } from './task.js';

/**
 * Computes the first microbatch of seed 0, twice.
 *
 * @param weights [P], those that the run begins with
 *
 * @throws E_TASK_IMPURE if the two differ in a bit; E_TASK_LOSS if the loss or the gradient is not finite
 */
export function tryGradient(
  { name, table }: Pick<Task, 'name' | 'table'>,
  weights: Float32Array,
  data: Pick<TaskData, 'prepare'>,
  { losses, targets }: Pick<GradientFunction, 'losses' | 'targets'>,
  compiled: Pick<Compiled, 'run'>,
): void {
  const inputs = [weights, ...data.prepare(0, 0, 0).inputs];
  const once = (): { gradient: Float32Array; loss: number } => {
    const gradient = new Float32Array(weights.length);
    const outputs = compiled.run(inputs, targets(gradient));
    return { gradient, loss: Array.from(outputs[losses]).reduce((sum, value) => sum + value, 0) };
  };
  const [first, second] = [once(), once()];
  if (!Number.isFinite(first.loss))
    throw new TaskError(
      'E_TASK_LOSS',
      `the loss of ${name} is ${first.loss}, not a finite number, for the first microbatch and the first weights: look for a division by 0, a logarithm of 0 or less, or inputs that are not scaled`,
    );
  const strange = table.find(
    ({ offset, size }) => !first.gradient.subarray(offset, offset + size).every(Number.isFinite),
  );
  if (strange !== undefined)
    throw new TaskError(
      'E_TASK_LOSS',
      `the gradient of ${name} by ${strange.name} is not finite for the first microbatch and the first weights, though the loss is: look for a root or a norm of 0`,
    );
  const [before, after] = [first, second].map(({ gradient }) => new Uint32Array(gradient.buffer));
  const at = before.findIndex((word, index) => word !== after[index]);
  const differs = table.find(({ offset, size }) => at >= offset && at < offset + size);
  if (differs !== undefined || !Object.is(first.loss, second.loss))
    throw new TaskError(
      'E_TASK_IMPURE',
      `the ${differs === undefined ? 'loss' : `gradient by ${differs.name}`} of ${name}, computed twice from the same numbers, differs: an operation in it is not deterministic here; compute it in another way`,
    );
}
