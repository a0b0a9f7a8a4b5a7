import { test } from 'node:test';
import assert from 'node:assert/strict';
import { QUICK_FAULTS } from './faults.js';
import { QUICK, putToTest } from './scenario.js';

for (const fault of QUICK_FAULTS) {
  test(`bits are equal and no sample is lost after: ${fault.title}`, async (context) => {
    const row = await putToTest(fault, QUICK);
    if (row.skipped !== null) {
      context.skip(row.skipped);
      return;
    }
    assert.equal(row.problem, null);
    assert.equal(row.bitsEqual, true);
    assert.equal(row.ledgerWhole, true);
    assert.ok(row.injections >= QUICK.repeat);
  });
}
