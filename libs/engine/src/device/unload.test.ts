/** What a process is left with when a thread that has loaded the engine ends. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { cacheDirectoryIn } from '@lockstep/config';
import { engineDirectory } from '#src/device/directory.js';
import { SETTING } from '../engine.fixture.js';
import { engineEnvironment } from '#src/device/environment.js';

const skip = process.platform === 'linux' ? false : 'no /proc';

test('TensorFlow stays in memory: it leaves an address to call at the end of the process', { skip }, async () => {
  Object.assign(process.env, engineEnvironment(SETTING));
  const directory = engineDirectory('cpu', cacheDirectoryIn(process.env));
  const source = `
    import { loadEngine } from ${JSON.stringify(import.meta.resolve('#src/device/load.js'))};
    loadEngine(${JSON.stringify({ ...SETTING, engine: 'tensorflow', directory })});`;
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  const status = await new Promise((resolve, reject) => thread.once('exit', resolve).once('error', reject));
  assert.equal(status, 0);
  assert.match(readFileSync('/proc/self/maps', 'utf8'), /libtensorflow_cc\.so/);
});
