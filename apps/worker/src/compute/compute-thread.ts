/** The compute thread of a worker: compute.ts starts it. */
import { makeTrainer, serveCompute } from './compute-service.js';

serveCompute(makeTrainer);
