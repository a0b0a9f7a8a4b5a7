import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Cli, temporaryFolder, tinyRun } from './harness.js';

describe('GPU workers, on a machine without a GPU', () => {
  it('each get one of the GPUs listed; without a CUDA engine they name the command that makes one', async (test) => {
    const folder = temporaryFolder(test);
    const out = join(folder, 'run');
    const args = tinyRun(out, 2, 5, '--device', 'cuda', '--max-restarts', '0');
    const env = { CUDA_VISIBLE_DEVICES: '7, GPU-8932f937-d72c', LOCKSTEP_CACHE: join(folder, 'no engine') };
    const { status } = await new Cli(args, env).ended;
    assert.equal(status, 1);
    const logs = ['worker-0', 'worker-1'].map((name) => readFileSync(join(out, 'logs', `${name}.log`), 'utf8'));
    assert.match(logs[0], /GPU 7\n/);
    assert.match(logs[1], /GPU GPU-8932f937-d72c\n/);
    assert.match(logs.join(''), /E_ENGINE_MISSING.*--device cuda/);
  });

  it('are not started where more are wanted than GPUs are listed', async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const { status, stderr } = await new Cli(tinyRun(out, 3, 5, '--device', 'cuda'), { CUDA_VISIBLE_DEVICES: '0,1' })
      .ended;
    assert.equal(status, 2);
    assert.match(stderr, /E_CONFIG_GPUS: 3 workers .* --workers 2/);
  });
});
