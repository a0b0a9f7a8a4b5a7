/** The parts of a training step, for programs that put them together by themselves: benchmarks that time or change one of them. */
export { allocateArena, copyState, openArena, type Arena } from './arena.js';
export { bucketsIn, bucketsOf } from './buckets.js';
export { agreedExponents, summandOf, sumFormOf, sumGradients } from './exact-sum.js';
export { passesFor } from './native-passes.js';
export { LocalSum } from './local-sum.js';
export { Trainer } from './trainer.js';
