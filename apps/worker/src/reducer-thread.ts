/** The reducer thread of a worker: reducer.ts starts it. */
import { workerData } from 'node:worker_threads';
import type { ReducerSetup } from './reducer.js';
import { Reducer } from './reducer-service.js';
import { serve } from './service-thread.js';

// `startReducer` alone starts this thread, with a ReducerSetup, and posts ReducerRequests.
const reducer = new Reducer(workerData as ReducerSetup);

serve(reducer.handle.bind(reducer));
