export { EffectQueue } from './effect-queue.js';
export { failureLine, failureOf, type Failure } from './failure.js';
export { isJsonObject, toJson, type JsonObject, type JsonValue } from './json.js';
