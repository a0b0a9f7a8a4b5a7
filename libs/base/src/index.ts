export { EffectQueue } from './effect-queue.js';
export { failureLine, failureOf, type Failure } from './failure.js';
