import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LogFile, RETRY_MS } from '#src/up/log-file.js';

const skip = process.platform === 'linux' ? false : 'no /dev/full';

interface Kept {
  readonly folder: string;
  readonly path: string;
  readonly file: LogFile;
  readonly warnings: string[];
  readonly write: (text: string) => void;
  readonly pass: (milliseconds: number) => void;
}

function logIn(context: TestContext, maxBytes?: number): Kept {
  const folder = fs.mkdtempSync(join(tmpdir(), 'lockstep-logs-'));
  const path = join(folder, 'worker-0.log');
  const warnings: string[] = [];
  let now = 0;
  const file = new LogFile({
    path,
    monotonicNow: () => now,
    warn: (text) => warnings.push(text),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  });
  context.after(() => {
    file.close();
    fs.rmSync(folder, { recursive: true });
  });
  return {
    folder,
    path,
    file,
    warnings,
    write: (text) => file.write(Buffer.from(text)),
    pass: (milliseconds) => (now += milliseconds),
  };
}

const read = (path: string): string => fs.readFileSync(path, 'utf8');

test('a file is added to, and put aside when it is full: the newest two are kept', (context) => {
  const { folder, path, write, file } = logIn(context, 10);
  fs.writeFileSync(path, 'old');
  for (const text of ['12345', '6789', 'abcdefgh', 'xyz', 'longer than a file may be', 'end']) write(text);
  assert.deepEqual(fs.readdirSync(folder).sort(), ['worker-0.log', 'worker-0.log.1']);
  assert.equal(read(path), 'end');
  assert.equal(read(`${path}.1`), 'longer than a file may be');
  file.close();
});

test('of a link, the file that it leads to is put aside, and the link stays', (context) => {
  const { folder, path, write } = logIn(context, 10);
  fs.mkdirSync(join(folder, 'elsewhere'));
  fs.symlinkSync(join(folder, 'elsewhere', 'log'), path);
  write('first part');
  write('second');
  assert.equal(read(path), 'second');
  assert.equal(read(join(folder, 'elsewhere', 'log.1')), 'first part');
  assert.ok(fs.lstatSync(path).isSymbolicLink());
});

test('a file that cannot be written is one warning with a code; it is tried again later, and says what is missing', (context) => {
  const { path, write, warnings, pass } = logIn(context);
  fs.mkdirSync(path);
  write('lost');
  write('lost too');
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /^E_LOG_WRITE: .*worker-0\.log.*EISDIR/);
  pass(RETRY_MS);
  write('lost as well');
  assert.equal(warnings.length, 2);
  fs.rmdirSync(path);
  write('before the next try');
  pass(RETRY_MS);
  write('kept');
  assert.equal(read(path), '-- 43 bytes could not be written here --\nkept');
});

test(
  'a device that is full, and a pipe that nobody reads or reads too slowly, do not hold anyone up',
  { skip },
  (context) => {
    const { path, write, warnings, pass } = logIn(context);
    fs.symlinkSync('/dev/full', path);
    write('text');
    assert.match(warnings.at(-1) ?? '', /ENOSPC/);
    fs.rmSync(path);
    execFileSync('mkfifo', [path]);
    pass(RETRY_MS);
    write('text');
    assert.match(warnings.at(-1) ?? '', /ENXIO/);
    const reader = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    pass(RETRY_MS);
    write('text');
    assert.equal(warnings.length, 2);
    // More than a pipe holds.
    write('x'.repeat(2 ** 20));
    write('x'.repeat(2 ** 20));
    assert.match(warnings.at(-1) ?? '', /E_LOG_WRITE.*(part only|EAGAIN)/);
    fs.closeSync(reader);
  },
);
