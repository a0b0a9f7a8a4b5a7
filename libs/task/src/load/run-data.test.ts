import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { openRunData } from '#src/load/run-data.js';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-run-data-'));
after(() => rmSync(folder, { recursive: true }));

/** Data whose digest is told by where it lies: that of the run in the folder and in what has a name, another elsewhere. */
const DIGEST = 'a'.repeat(64);
const task = {
  name: 'counting',
  open: (source: string | null) => ({
    digest: [folder, 'known'].includes(source ?? '') ? DIGEST : 'b'.repeat(64),
    source,
  }),
};
const named = { dataNames: ['known'] };

test("a run's data is known by its digest: where it lies is free, and a name needs no folder", async () => {
  const opened = async (source: string | null, given: string | null): Promise<string | null> =>
    (await openRunData(task, named, { source, digest: DIGEST }, given)).source;
  assert.equal(await opened(folder, null), folder);
  assert.equal(await opened('/nowhere', folder), folder);
  assert.equal(await opened('known', null), 'known');
});

test('data that was changed, is gone, or is other data is told as that', async () => {
  const refused = async (source: string | null, given: string | null, code: string, message: RegExp): Promise<void> =>
    assert.rejects(openRunData(task, named, { source, digest: DIGEST }, given), { name: 'TaskError', code, message });
  await refused('/nowhere', null, 'E_DATA_MISSING', /was in \/nowhere, which is not there any more: .*--data/);
  const digests = /has changed since the run began \(digest a{12} then, b{12} now\)/;
  const other = tmpdir();
  await refused(other, null, 'E_DATA_CHANGED', digests);
  await refused(other, other, 'E_DATA_CHANGED', digests);
  await refused(null, null, 'E_DATA_CHANGED', /data that counting opens has changed/);
  // That it has changed is not known of a folder that the run never saw.
  await refused(folder, other, 'E_DATA_CHANGED', /is not what the run was trained on/);
});
