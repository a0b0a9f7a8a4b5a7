import assert from 'node:assert/strict';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { readCoordinatorAddress, writeCoordinatorAddress } from '#src/record/address.js';
import { CheckpointError } from '#src/errors.js';
import { FailingFs } from '../failing-fs.fixture.js';

const OLD = { address: 'http://127.0.0.1:29400', pid: 11 };
const NEW = { address: 'http://[::1]:29401', pid: 12 };

async function folder(context: TestContext): Promise<string> {
  const path = await fs.mkdtemp(join(tmpdir(), 'lockstep-address-'));
  context.after(() => fs.rm(path, { recursive: true, force: true }));
  return path;
}

const hasCode = (code: string) => (error: unknown) => error instanceof CheckpointError && error.code === code;

test("the newest coordinator's address is the one that is read; before any there is none", async (context) => {
  const root = await folder(context);
  assert.equal(await readCoordinatorAddress(root), null);
  await writeCoordinatorAddress(root, OLD);
  assert.deepEqual(await readCoordinatorAddress(root), OLD);
  await writeCoordinatorAddress(root, NEW);
  assert.deepEqual(await readCoordinatorAddress(root), NEW);
  assert.deepEqual(await fs.readdir(root), ['coordinator.json']);
});

test('a crash or an error at any operation leaves the old address or the new one, whole', async (context) => {
  const counter = new FailingFs({ at: Infinity, kind: 'crash', code: 'EIO' });
  await writeCoordinatorAddress(await folder(context), NEW, { disk: counter });
  assert.ok(counter.operations > 0);
  for (let at = 0; at < counter.operations; at += 1) {
    for (const kind of ['crash', 'error'] as const) {
      const root = await folder(context);
      await writeCoordinatorAddress(root, OLD);
      const disk = new FailingFs({ at, kind, code: 'ENOSPC' });
      const failed = await writeCoordinatorAddress(root, NEW, { disk }).catch((error: unknown) => error);
      assert.ok(failed === undefined || hasCode('E_RUN_WRITE')(failed));
      const found = await readCoordinatorAddress(root);
      assert.ok(found?.pid === OLD.pid || found?.pid === NEW.pid, `${kind} at ${at}`);
    }
  }
});

test('a file that is no address is refused', async (context) => {
  const root = await folder(context);
  for (const text of ['', '{', '{"address":"file:///etc","pid":1}', '{"address":"http://a:1"}', ' '.repeat(5_000)]) {
    await fs.writeFile(join(root, 'coordinator.json'), text);
    await assert.rejects(readCoordinatorAddress(root), hasCode('E_RUN_CORRUPT'), text.slice(0, 40));
  }
});
