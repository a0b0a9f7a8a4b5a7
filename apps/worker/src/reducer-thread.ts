/** The reducer thread of a worker: reducer.ts starts it. */
import { parentPort, workerData } from 'node:worker_threads';
import { failureOf } from '@lockstep/config';
import type { ReducerReply, ReducerRequest, ReducerSetup } from './reducer.js';
import { Reducer } from './reducer-service.js';

// ReducerThread alone starts this thread, with a ReducerSetup, and posts ReducerRequests.
const reducer = new Reducer(workerData as ReducerSetup);

parentPort?.on('message', (request: ReducerRequest) => {
  let reply: ReducerReply;
  try {
    reply = reducer.handle(request);
  } catch (error) {
    reply = { kind: 'failed', ...failureOf(error) };
  }
  parentPort?.postMessage(reply);
});
