/** A compute thread each of whose gradients takes 3 ms of processor time and what it takes anyway. */
import { makeTrainer, serveCompute } from '#src/compute/compute-service.js';

const BUSY_MICROSECONDS = 3_000;

serveCompute((...given) => {
  const training = makeTrainer(...given);
  const compute = training.compute.bind(training);
  training.compute = (...asked) => {
    const { user, system } = process.cpuUsage();
    const used = (): number => {
      const now = process.cpuUsage();
      return now.user + now.system - user - system;
    };
    while (used() < BUSY_MICROSECONDS);
    return compute(...asked);
  };
  return training;
});
