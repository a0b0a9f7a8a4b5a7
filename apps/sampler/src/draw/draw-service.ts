/** A drawing worker's process: takes a job from its parent, then draws the batches that it is given until its parent goes. */
import { setImmediate } from 'node:timers/promises';
import { failureOf } from '@lockstep/base';
import { guardOutput, outliveTerminal } from '@lockstep/process';
import type { BatchSteps } from './draw-batch.js';
import { toWorkerSchema, type DrawJob, type FromWorker } from './job.js';

export type MakeDrawing = (job: DrawJob) => (batch: number) => BatchSteps;

/** Serves the parent process. Call it once, in a process that `drawBatches` started. */
export function serveDrawing(makeDrawing: MakeDrawing): void {
  // Its standard error is that of the command, which nobody may read.
  guardOutput(process);
  outliveTerminal();
  let draw: ReturnType<MakeDrawing> | null = null;
  const answer = async (raw: unknown): Promise<void> => {
    const message = toWorkerSchema.parse(raw);
    switch (message.kind) {
      case 'job':
        draw = makeDrawing(message.job);
        tell({ kind: 'ready' });
        return;
      case 'batch':
        if (draw === null) throw new TypeError('a batch came before the job');
        tell({ kind: 'drawn', images: await inSteps(draw(message.batch)) });
        return;
      default:
        return message satisfies never;
    }
  };
  process.on('disconnect', () => process.exit());
  process.on('message', (raw) => {
    answer(raw).catch((error: unknown) => {
      tell({ kind: 'failed', ...failureOf(error) }, () => process.exit(1));
    });
  });
}

async function inSteps(steps: BatchSteps): Promise<Float32Array> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    tell({ kind: 'step', done: step.value.done });
    // Lets the loop see that the parent is gone, and send what was told.
    await setImmediate();
  }
}

/** A parent that is gone is told by the channel's end. */
function tell(message: FromWorker, told: () => void = () => undefined): void {
  process.send?.(message, told);
}
