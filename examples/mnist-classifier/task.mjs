/** A small convolutional network that tells handwritten digits apart: MNIST, which is installed with Lockstep. */

/** @import { DataDefinition, LossContext, LossResult, OpenContext, ParameterDefinition, TaskDefinition, Tensor, Tensor4D } from '@lockstep/task' */

const SIDE = 28;
const CLASSES = 10;
const OPTIONS = { steps: 800, width: 8, learningRate: 3e-3 };

/** @type {TaskDefinition<typeof OPTIONS>} */
export default {
  name: 'mnist-classifier',
  options: OPTIONS,

  create({ options }) {
    const { steps, width, learningRate } = options;
    const flat = (SIDE / 4) ** 2 * 2 * width;
    /** @type {(name: string, shape: number[]) => ParameterDefinition[]} */
    const layer = (name, shape) => [
      { name: `${name}.kernel`, shape, init: 'he-normal' },
      { name: `${name}.bias`, shape: shape.slice(-1), init: 'zeros' },
    ];
    return {
      steps,
      globalBatch: 128,
      microbatchSize: 32,
      parameters: [
        ...layer('conv1', [5, 5, 1, width]),
        ...layer('conv2', [5, 5, width, 2 * width]),
        ...layer('hidden', [flat, 128]),
        ...layer('classes', [128, CLASSES]),
      ],
      optimizer: { learningRate, warmupSteps: 50, ema: 0.99 },
      figures: ['accuracy'],
      open,
      loss,
    };
  },
};

/** @param {OpenContext} context @returns {DataDefinition} */
function open({ split, lockstep }) {
  const { images, labels, count } = lockstep.loadMnist(split);
  const pixels = SIDE * SIDE;
  return {
    count,
    inputs: [
      { name: 'image', shape: [SIDE, SIDE, 1], dtype: 'float32' },
      { name: 'label', shape: [], dtype: 'int32' },
    ],
    batch(indices) {
      const image = new Float32Array(indices.length * pixels);
      indices.forEach((index, place) => {
        for (let i = 0; i < pixels; i++) image[place * pixels + i] = images[index * pixels + i] / 255;
      });
      return [image, Int32Array.from(indices, (index) => labels[index])];
    },
  };
}

/** @param {LossContext} context @returns {LossResult} */
function loss({ tf, weights, inputs }) {
  const convolution = (/** @type {Tensor} */ x, /** @type {string} */ name) => {
    // Both have four dimensions, or tf.conv2d says so.
    const [maps, kernel] = /** @type {Tensor4D[]} */ ([x, weights[`${name}.kernel`]]);
    /** @type {Tensor4D} */
    const y = tf.conv2d(maps, kernel, 1, 'same').add(weights[`${name}.bias`]);
    return tf.maxPool(tf.relu(y), 2, 2, 'valid');
  };
  const dense = (/** @type {Tensor} */ x, /** @type {string} */ name) =>
    tf.matMul(x, weights[`${name}.kernel`]).add(weights[`${name}.bias`]);
  const maps = convolution(convolution(inputs.image, 'conv1'), 'conv2');
  const hidden = dense(maps.reshape([maps.shape[0], -1]), 'hidden').relu();
  const logits = dense(hidden, 'classes');
  const crossEntropy = tf.losses.softmaxCrossEntropy(tf.oneHot(inputs.label, CLASSES), logits);
  const right = tf.equal(logits.argMax(-1), inputs.label).cast('float32');
  return { loss: crossEntropy, figures: { accuracy: right.mean() } };
}
