/**
 * A drawing worker for tests, without an engine: pixel p of the job is p + seed. FIXTURE_FATE says what becomes of it; with
 * FIXTURE_ONCE, a file that is not there yet, only the first process that comes to its fate suffers it.
 */
import { closeSync, openSync } from 'node:fs';
import { drawingOf, type BatchSteps } from '#src/draw/draw-batch.js';
import { serveDrawing } from '#src/draw/draw-service.js';

const { FIXTURE_FATE: fate, FIXTURE_ONCE: once } = process.env;
/** Batch and step in which fate strikes. */
const FATEFUL = { batch: 1, step: 2 };
const STEPS = 3;
const PIXELS = 4;

function isFirst(): boolean {
  if (once === undefined) return true;
  try {
    closeSync(openSync(once, 'wx'));
    return true;
  } catch {
    return false;
  }
}

function suffer(): void {
  switch (fate) {
    case 'dies':
    case 'real and dies':
      return void process.kill(process.pid, 'SIGKILL');
    case 'freezes':
      return void process.kill(process.pid, 'SIGSTOP');
    case 'fails':
      throw Object.assign(new Error('cannot go on'), { code: 'E_SAMPLE_MODEL' });
    default:
  }
}

serveDrawing((job) => {
  const real = fate === 'real and dies' ? drawingOf(job) : null;
  return function* (batch) {
    const steps: BatchSteps = real?.(batch) ?? pretended(batch, job.seed);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (batch === FATEFUL.batch && step.value.done === FATEFUL.step && isFirst()) suffer();
      yield step.value;
    }
  };
});

function* pretended(batch: number, seed: number): BatchSteps {
  for (let done = 1; done <= STEPS; done++) yield { done };
  return Float32Array.from({ length: PIXELS }, (_, pixel) => batch * PIXELS + pixel + seed);
}
