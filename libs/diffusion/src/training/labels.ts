/**
 * Class labels as a conditional network is given them: 0 .. classes-1, or `classes` for "no label".
 *
 * Classifier-free guidance (Ho and Salimans, "Classifier-free diffusion guidance", 2022) needs one network that predicts with and
 * without the label, so a part of the samples is trained without theirs (algorithm 1 there).
 */
import { DiffusionError } from '../errors.js';
import { blocksOf, openUniform, STREAMS } from '@lockstep/task';

/** What stands for "no label" in a network of so many classes: the last row of its table. */
export function noLabel(classes: number): number {
  return classes;
}

/**
 * Whether the sample at `position` of the step's global batch is trained without its label: true with probability
 * `labelDrop`, as a function of (seed, step, position) alone.
 *
 * @throws E_RANDOM_KEY if seed, step or position is out of range
 */
export function dropsLabel(seed: number, step: number, position: number, labelDrop: number): boolean {
  const words = new Uint32Array(4);
  blocksOf({ seed, stream: STREAMS.labelDrop, step, position })(words, 0);
  return openUniform(words[0]) < labelDrop;
}

/**
 * The label, if the network has such a class.
 *
 * @throws E_LABEL if it has not
 */
export function checkedLabel(label: number, classes: number): number {
  if (!Number.isInteger(label) || label < 0 || label >= classes) {
    throw new DiffusionError(
      'E_LABEL',
      `label ${label}, but the network has ${classes} classes: use labels from 0 to ${classes - 1}, or a network with more`,
    );
  }
  return label;
}
