/**
 * A small transformer that writes text, a character after the other: trained on one file, of any language in UTF-8. Its characters are
 * the file's bytes. Where no file is named it reads text.txt, which is prose of Lockstep's own documentation.
 */

/** @import { DataDefinition, LossContext, LossResult, OpenContext, ParameterDefinition, SampleContext, TaskDefinition, Tensor, TF } from '@lockstep/task' */
/** @typedef {typeof OPTIONS} Options */

const OPTIONS = { steps: 1500, context: 64, width: 96, layers: 2, heads: 4, learningRate: 2e-3 };
/** What a byte may be. */
const CHARACTERS = 256;

/** @type {TaskDefinition<Options>} */
export default {
  name: 'char-lm',
  options: OPTIONS,

  create({ options }) {
    const { steps, context, width, layers, learningRate } = options;
    /** @type {(name: string, from: number, to: number) => ParameterDefinition} */
    const matrix = (name, from, to) => ({ name, shape: [from, to], init: { normal: 0.6 / Math.sqrt(from) } });
    /** @type {(name: string) => ParameterDefinition[]} */
    const norm = (name) => [
      { name: `${name}.gain`, shape: [width], init: 'ones' },
      { name: `${name}.shift`, shape: [width], init: 'zeros' },
    ];
    const block = (/** @type {string} */ name) => [
      ...norm(`${name}.norm1`),
      matrix(`${name}.qkv`, width, 3 * width),
      matrix(`${name}.out`, width, width),
      ...norm(`${name}.norm2`),
      matrix(`${name}.up`, width, 4 * width),
      matrix(`${name}.down`, 4 * width, width),
    ];
    return {
      steps,
      globalBatch: 32,
      microbatchSize: 8,
      parameters: [
        { name: 'character', shape: [CHARACTERS, width], init: { normal: 0.1 } },
        { name: 'place', shape: [context, width], init: { normal: 0.1 } },
        ...Array.from({ length: layers }, (_, index) => block(`block${index}`)).flat(),
        ...norm('norm'),
        matrix('next', width, CHARACTERS),
      ],
      optimizer: { learningRate, warmupSteps: 100, finalFraction: 0.1, maxGradientNorm: 1, ema: 0.99 },
      figures: ['right'],
      open: (given) => open(given, options),
      loss: (given) => loss(given, options),
      sample: (given) => sample(given, options),
    };
  },
};

/**
 * The last tenth of the text is kept for the test.
 * @param {OpenContext} given
 * @param {Options} options
 * @returns {DataDefinition}
 */
function open({ source, split, lockstep }, { context }) {
  const text = lockstep.readFile(source ?? new URL('text.txt', import.meta.url));
  const border = Math.floor(text.length * 0.9);
  const part = split === 'train' ? text.subarray(0, border) : text.subarray(border);
  return {
    count: part.length - context,
    description: `${part.length} characters, in windows of ${context}`,
    inputs: [{ name: 'text', shape: [context + 1], dtype: 'int32' }],
    batch: (indices) => [Int32Array.from([...indices].flatMap((at) => [...part.subarray(at, at + context + 1)]))],
  };
}

/**
 * What comes after each character of `text`, [n, context]: logits [n, context, CHARACTERS].
 * @param {TF} tf
 * @param {LossContext['weights']} weights
 * @param {Tensor} text
 * @param {Options} options
 */
function predict(tf, weights, text, { width, layers, heads }) {
  /** @type {number[]} */
  const [n, context] = text.shape;
  const norm = (/** @type {Tensor} */ x, /** @type {string} */ name) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return x.sub(mean).mul(variance.add(1e-5).rsqrt()).mul(weights[`${name}.gain`]).add(weights[`${name}.shift`]);
  };
  const dense = (/** @type {Tensor} */ x, /** @type {string} */ name) => {
    const matrix = weights[name];
    /** @type {number[]} */
    const [from, to] = matrix.shape;
    return tf.matMul(x.reshape([-1, from]), matrix).reshape([n, context, to]);
  };
  const byHead = (/** @type {Tensor} */ x) => x.reshape([n, context, heads, width / heads]).transpose([0, 2, 1, 3]);
  // Nobody looks at what comes later.
  const later = tf.sub(1, tf.linalg.bandPart(tf.ones([context, context]), -1, 0)).mul(-1e9);
  const attention = (/** @type {Tensor} */ x, /** @type {string} */ name) => {
    const [query, key, value] = tf.split(dense(x, `${name}.qkv`), 3, -1).map(byHead);
    const scores = tf.matMul(query, key, false, true).mul(1 / Math.sqrt(width / heads));
    const seen = tf.matMul(tf.softmax(scores.add(later)), value);
    return dense(seen.transpose([0, 2, 1, 3]).reshape([n, context, width]), `${name}.out`);
  };
  let x = tf.gather(weights.character, text).add(tf.slice(weights.place, [0, 0], [context, width]));
  for (let index = 0; index < layers; index++) {
    const name = `block${index}`;
    x = x.add(attention(norm(x, `${name}.norm1`), name));
    x = x.add(dense(dense(norm(x, `${name}.norm2`), `${name}.up`).relu(), `${name}.down`));
  }
  return dense(norm(x, 'norm'), 'next');
}

/**
 * @param {LossContext} given
 * @param {Options} options
 * @returns {LossResult}
 */
function loss({ tf, weights, inputs }, options) {
  const { context } = options;
  const logits = predict(tf, weights, inputs.text.slice([0, 0], [-1, context]), options);
  const next = inputs.text.slice([0, 1], [-1, context]);
  const right = tf.equal(logits.argMax(-1), next).cast('float32').mean();
  return { loss: tf.losses.softmaxCrossEntropy(tf.oneHot(next, CHARACTERS), logits), figures: { right } };
}

/**
 * Goes on from the prompt, each character drawn with its probability.
 * @param {SampleContext} given
 * @param {Options} options
 */
function sample({ tf, weights, random, prompt }, options) {
  const written = [...Buffer.from(prompt === '' ? '\n' : prompt)];
  while (written.length < 500) {
    const logits = tf.tidy(() => {
      const text = tf.tensor2d([written.slice(-options.context)], undefined, 'int32');
      const all = tf.softmax(predict(tf, weights, text, options));
      return all.slice([0, text.shape[1] - 1, 0], [1, 1, CHARACTERS]).dataSync();
    });
    let left = random.uniform();
    const drawn = logits.findIndex((probability) => (left -= probability) < 0);
    written.push(drawn < 0 ? 32 : drawn);
  }
  return Buffer.from(written).toString();
}
