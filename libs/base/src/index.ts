export { failureLine, failureOf, type Failure } from './failure.js';
