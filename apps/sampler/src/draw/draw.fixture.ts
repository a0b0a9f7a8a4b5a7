/** Pictures for tests: drawn by one worker, with what the test wants different. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { draw, type Drawn, type DrawRequest } from '#src/draw/draw.js';

export async function drawn(run: string, more: Partial<DrawRequest> = {}): Promise<Drawn> {
  return draw({
    run,
    out: join(run, 'x.png'),
    animate: null,
    rows: 2,
    columns: 6,
    class: null,
    allClasses: false,
    guidance: null,
    seed: 1,
    sampler: 'dpmpp2m',
    steps: 4,
    eta: null,
    variance: null,
    scale: 1,
    device: 'cpu',
    workers: 1,
    processors: 1,
    env: process.env,
    onProgress: () => undefined,
    warn: (text) => assert.fail(text),
    ...more,
  });
}
