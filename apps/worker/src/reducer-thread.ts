/** The reducer thread of a worker: reducer.ts starts it. */
import { workerData } from 'node:worker_threads';
import { openTrace } from '@lockstep/checkpoint';
import type { ReducerRequest, ReducerSetup } from './reducer.js';
import { Reducer } from './reducer-service.js';
import { serve } from './service-thread.js';

// `startReducer` alone starts this thread, with a ReducerSetup, and posts ReducerRequests.
const setup = workerData as ReducerSetup;
const trace = openTrace(setup.trace, 'reducer');
const reducer = new Reducer(setup);

serve((request: ReducerRequest) => trace.timed(request.kind, () => reducer.handle(request)), trace);
