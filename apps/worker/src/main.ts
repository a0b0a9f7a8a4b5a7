/** A worker process. Started by `lockstep up`, by `nx run worker:serve`, or in a container: one a GPU, or one a core. */
import { runWorkerProcess } from './edge/worker-process.js';

runWorkerProcess();
