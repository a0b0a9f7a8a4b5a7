import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '#src/errors.js';
import { visibleGpus, workerPlaces } from '#src/gpus.js';

test('without CUDA_VISIBLE_DEVICES, the GPUs are those that have a node in /dev, counted from 0', () => {
  const nodes = ['null', 'nvidia2', 'nvidia-uvm', 'nvidiactl', 'nvidia5', 'nvidia-modeset'];
  assert.deepEqual(visibleGpus({}, nodes), ['0', '1']);
  assert.deepEqual(visibleGpus({}, ['null', 'nvidiactl']), []);
});

test('CUDA_VISIBLE_DEVICES names them, up to the first name that CUDA does not know', () => {
  const seen = (text: string): string[] => visibleGpus({ CUDA_VISIBLE_DEVICES: text }, ['nvidia0', 'nvidia1']);
  assert.deepEqual(seen('3,1'), ['3', '1']);
  assert.deepEqual(seen('GPU-8932f937-d72c, MIG-GPU-8932f937/1/0'), ['GPU-8932f937-d72c', 'MIG-GPU-8932f937/1/0']);
  assert.deepEqual(seen('1,-1,0'), ['1']);
  assert.deepEqual(seen(''), []);
  assert.deepEqual(seen('-1'), []);
});

test('each worker has a GPU of its own, and on the CPU none is named', () => {
  assert.deepEqual(workerPlaces('cuda', 2, ['3', '1', '0']), [
    { CUDA_VISIBLE_DEVICES: '3' },
    { CUDA_VISIBLE_DEVICES: '1' },
  ]);
  assert.deepEqual(workerPlaces('cpu', 3, []), [{}, {}, {}]);
});

test('too few GPUs, or none, are told before any process is started', () => {
  const told = (says: RegExp) => (error: unknown) =>
    error instanceof ConfigError && error.code === 'E_CONFIG_GPUS' && says.test(error.message);
  assert.throws(
    () => workerPlaces('cuda', 3, ['0', '1']),
    told(/3 workers .* 2 can be seen \(0, 1\); use --workers 2/),
  );
  assert.throws(() => workerPlaces('cuda', 0, []), told(/no GPU is visible/));
});
