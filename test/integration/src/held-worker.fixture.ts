/** A worker process whose compute thread is held by the test. */
import { runWorkerProcess } from '@lockstep/worker/worker-process';

runWorkerProcess(new URL('./held-compute.fixture.js', import.meta.url));
