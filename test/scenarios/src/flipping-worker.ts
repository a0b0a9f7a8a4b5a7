/** A worker process whose compute thread gives one wrong gradient. */
import { runWorkerProcess } from '@lockstep/worker/worker-process';

runWorkerProcess(new URL('./flipping-compute.js', import.meta.url));
