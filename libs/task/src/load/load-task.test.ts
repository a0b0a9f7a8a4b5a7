import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { loadTask } from '#src/load/load-task.js';
import { checkCode, taskCode } from '#src/load/task-code.js';
import { fails } from '../define/line.fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'lockstep-task-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A file of its own for each text: Node keeps what it imported once. */
let files = 0;
function fileOf(text: string): string {
  const path = join(folder, `task-${files++}.mjs`);
  writeFileSync(path, text);
  return path;
}

const LINE = `export default { name: 'line', create: () => ({
  steps: 4, globalBatch: 2, parameters: [{ name: 'a', shape: [1], init: 'ones' }], optimizer: { learningRate: 1 },
  open: () => null, loss: () => null }) };`;

async function refuses(text: string, code: string, words: RegExp): Promise<void> {
  await assert.rejects(loadTask(fileOf(text), 200), { code, message: words });
}

test('a file anywhere with a definition is a task, and so is one with a module of the lower form', async () => {
  const { module, code } = await loadTask(fileOf(LINE));
  assert.equal(module.create({}).steps, 4);
  assert.deepEqual(Object.keys(code), ['task-0.mjs']);
  const lower = await loadTask(fileOf('export default { create: (recipe) => recipe };'));
  assert.equal(typeof lower.module.create, 'function');
});

test('what is no task is said with what is there and what to write', async () => {
  await assert.rejects(loadTask(join(folder, 'none.mjs')), { code: 'E_TASK_MISSING', message: /none.mjs/ });
  await refuses(
    'export const name = 1;',
    'E_TASK_MODULE',
    /has no default export: write export default \{ name, create \}/,
  );
  await refuses('export default 3;', 'E_TASK_MODULE', /the default export of .* is 3: it must be an object/);
  await refuses("export default { name: 'x' };", 'E_TASK_MODULE', /create is missing: it must be a function/);
});

test('what cannot be imported is said with the reason and the line', async () => {
  await refuses(
    '\nexport default {',
    'E_TASK_MODULE',
    /cannot be loaded: SyntaxError: Unexpected end of input; node --check .* shows where$/,
  );
  await refuses('\n\nnull.x;', 'E_TASK_MODULE', /cannot be loaded: TypeError: .*, in line 3/);
  await refuses("import 'no-such-package-here';", 'E_TASK_MODULE', /cannot be loaded: Error.*no-such-package-here/);
  await refuses("import './not-there.mjs';", 'E_TASK_MISSING', /what .* imports cannot be read .*not-there.mjs/);
});

test('a file that waits for ever at its top does not hold anybody up', () =>
  refuses(
    'await new Promise(() => undefined); export default {};',
    'E_TASK_TIMEOUT',
    /importing .* has not resolved for 0.2 s/,
  ));

test("a task's code is its file and all that it imports by a relative path, wherever the folder lies", () => {
  const write = (at: string): string => {
    mkdirSync(join(folder, at, 'parts'), { recursive: true });
    writeFileSync(
      join(folder, at, 'task.mjs'),
      "import { a } from './parts/a.mjs';\nimport fs from 'node:fs';\nexport default a;",
    );
    writeFileSync(join(folder, at, 'parts', 'a.mjs'), "export const a = await import('../b.mjs');");
    writeFileSync(join(folder, at, 'b.mjs'), "export * from './parts/a.mjs';");
    writeFileSync(join(folder, at, 'unused.mjs'), 'export {};');
    return join(folder, at, 'task.mjs');
  };
  const [one, two] = [write('one'), write('two')];
  assert.deepEqual(Object.keys(taskCode(one)), ['b.mjs', 'parts/a.mjs', 'task.mjs']);
  assert.deepEqual(taskCode(one), taskCode(two));
  checkCode(two, taskCode(one), taskCode(two));
  writeFileSync(join(folder, 'two', 'b.mjs'), "export * from './c.mjs';");
  writeFileSync(join(folder, 'two', 'c.mjs'), 'export {};');
  fails(
    () => checkCode(two, taskCode(one), taskCode(two)),
    'E_TASK_CODE',
    /began with: b.mjs is another, c.mjs is new\. Put it back/,
  );
  fails(() => checkCode(one, taskCode(two), taskCode(one)), 'E_TASK_CODE', /b.mjs is another, c.mjs is gone/);
});
