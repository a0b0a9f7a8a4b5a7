import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FOLDER, referencePages } from './reference.mjs';

for (const [name, text] of Object.entries(await referencePages()))
  test(`docs/reference/${name} says what the code says (else: npm run reference)`, () => {
    assert.equal(readFileSync(join(FOLDER, name), 'utf8'), text);
  });
