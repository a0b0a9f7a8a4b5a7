import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { text } from 'node:stream/consumers';
import { CheckpointError } from '#src/errors.js';
import { openOutput } from '#src/output/output-file.js';

function folder(context: TestContext): string {
  const made = fs.mkdtempSync(join(tmpdir(), 'lockstep-output-'));
  context.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Refused with this code; the message names the path as it was given, and no temporary name or system's code. */
function refused(work: () => void, code: string, path: string, what: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.equal(error.code, code);
    assert.ok(error.message.startsWith(`${code}: ${path} `), error.message);
    assert.match(error.message, what);
    assert.doesNotMatch(error.message, /\.tmp|ENO|EACC|EISDIR/);
    return true;
  });
}

test('a file is whole or as it was: it appears when all is written, and a failure leaves nothing', (context) => {
  const root = folder(context);
  const path = join(root, 'x.png');
  fs.writeFileSync(path, 'before');
  const output = openOutput(path);
  assert.deepEqual(fs.readdirSync(root), ['x.png'], 'looking at it leaves nothing behind');
  const sink = output.begin();
  sink.write('af');
  assert.equal(fs.readFileSync(path, 'utf8'), 'before');
  sink.abandon();
  assert.deepEqual(fs.readdirSync(root), ['x.png']);
  output.write('af', Buffer.from('ter'));
  assert.equal(fs.readFileSync(path, 'utf8'), 'after');
  assert.deepEqual(fs.readdirSync(root), ['x.png']);
});

test('the mode and the owner of a file stay, and its name may be as long as names are', (context) => {
  const root = folder(context);
  const path = join(root, 'x'.repeat(255));
  fs.writeFileSync(path, 'before');
  fs.chmodSync(path, 0o4751);
  const own = process.getuid?.() === 0 ? 12345 : fs.statSync(path).uid;
  fs.chownSync(path, own, fs.statSync(path).gid);
  fs.chmodSync(path, 0o4751);
  openOutput(path).write('after');
  const { mode, uid } = fs.statSync(path);
  assert.deepEqual([mode & 0o7777, uid, fs.readFileSync(path, 'utf8')], [0o4751, own, 'after']);
});

test('a link stays, and what it leads to is replaced or made', (context) => {
  const root = folder(context);
  fs.mkdirSync(join(root, 'deep', 'er'), { recursive: true });
  fs.writeFileSync(join(root, 'deep', 'file'), 'before');
  const links = { toFile: 'second', second: 'deep/er/../file', toNothing: 'deep/new', intoFolder: 'deep/er' };
  for (const [name, target] of Object.entries(links)) fs.symlinkSync(target, join(root, name));
  openOutput(join(root, 'toFile')).write('1');
  openOutput(join(root, 'toNothing')).write('2');
  openOutput(`${root}/intoFolder/../third`).write('3');
  for (const [name, target] of Object.entries(links)) assert.equal(fs.readlinkSync(join(root, name)), target);
  const read = (name: string): string => fs.readFileSync(join(root, 'deep', name), 'utf8');
  assert.deepEqual([read('file'), read('new'), read('third')], ['1', '2', '3'], 'the dots are of where the link leads');
});

test('a device and a named pipe are written into and stay what they are', async (context) => {
  const root = folder(context);
  const [device, pipe] = [join(root, 'device'), join(root, 'pipe')];
  fs.symlinkSync('/dev/null', device);
  openOutput(device).write('gone');
  assert.ok(fs.lstatSync(device).isSymbolicLink() && fs.statSync('/dev/null').isCharacterDevice());
  execFileSync('mkfifo', [pipe]);
  const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] });
  openOutput(pipe).write('a', 'b');
  assert.equal(await text(reader.stdout), 'ab');
  assert.ok(fs.statSync(pipe).isFIFO());
  refused(
    () => openOutput('/dev/full').write('x'),
    'E_OUTPUT_WRITE',
    '/dev/full',
    /no space left on device; make room/,
  );
});

test('standard output is written to whatever it is, and so is a descriptor that a shell hands on', async (context) => {
  const root = folder(context);
  const module = import.meta.resolve('#src/output/output-file.js');
  const script = `import { openOutput } from '${module}'; const o = openOutput(process.argv[1]); o.write('content'); process.stderr.write(String(o.isStandardOutput));`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const run = async (command: string): Promise<string[]> => {
    const child = spawn('bash', ['-c', command, ...node], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    return Promise.all([text(child.stdout), text(child.stderr)]);
  };
  // Of child_process standard output is a socket, which cannot be opened by its name.
  assert.deepEqual(await run('"$0" "$@" /dev/stdout'), ['content', 'true']);
  assert.deepEqual(await run('"$0" "$@" /dev/stdout | cat'), ['content', 'true']);
  assert.deepEqual(await run('"$0" "$@" /proc/self/fd/1 > file'), ['', 'true']);
  assert.equal(fs.readFileSync(join(root, 'file'), 'utf8'), 'content');
  assert.deepEqual(await run('"$0" "$@" >(cat >&2) 2>/dev/null'), ['', 'content']);
  const [, closed] = await run('"$0" "$@" /dev/fd/99');
  assert.match(closed, /E_OUTPUT_PATH: \/dev\/fd\/99 cannot be written: descriptor 99 is not open for writing here/);
});

test('what cannot be written is refused before, with what to do', (context) => {
  const root = folder(context);
  fs.writeFileSync(join(root, 'file'), '');
  fs.symlinkSync('round', join(root, 'round'));
  fs.symlinkSync('none/x', join(root, 'nowhere'));
  const cases: (readonly [string, RegExp])[] = [
    [join(root, 'none', 'x.png'), /there is no folder .*none; name another file, or make the folder/],
    [join(root, 'nowhere'), /there is no folder .*none; name another file/],
    [join(root, 'file', 'x.png'), /.*file is a file, not a folder/],
    [root, /is a folder; name a file/],
    [`${root}/`, /names no file/],
    [join(root, 'round'), /leads round in a circle/],
    [join(root, 'x'.repeat(256)), /name too long/],
    ['/proc/x.png', /cannot be written: .*; name another file/],
  ];
  for (const [path, what] of cases) refused(() => openOutput(path), 'E_OUTPUT_PATH', path, what);
  assert.throws(() => openOutput(''), { code: 'E_OUTPUT_PATH' });
  openOutput(join(root, 'none', 'deeper', 'x'), { makeFolder: true }).write('made');
  assert.equal(fs.readFileSync(join(root, 'none', 'deeper', 'x'), 'utf8'), 'made');
});

test('two names of one file or pipe are known as the same, and /dev/null may be named twice', (context) => {
  const root = folder(context);
  const here = (name: string) => openOutput(join(root, name));
  fs.symlinkSync('x', join(root, 'link'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  assert.ok(here('x').isSameAs(here('link')));
  assert.ok(here('x').isSameAs(openOutput(join(root, '.', '..', root.split('/').at(-1) ?? '', 'x'))));
  assert.ok(here('pipe').isSameAs(here('pipe')));
  assert.ok(!here('x').isSameAs(here('y')));
  assert.ok(!openOutput('/dev/null').isSameAs(openOutput('/dev/null')));
});

test('a reader that goes away, and a folder that vanishes, are told with the code and without a temporary name', (context) => {
  const root = folder(context);
  fs.mkdirSync(join(root, 'gone'));
  const path = join(root, 'gone', 'x');
  const output = openOutput(path);
  fs.rmdirSync(join(root, 'gone'));
  refused(() => output.write('x'), 'E_OUTPUT_WRITE', path, /no such file or directory; check it/);
  const pipe = join(root, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const reader = fs.openSync(pipe, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  const sink = openOutput(pipe).begin();
  sink.write('x');
  fs.closeSync(reader);
  refused(() => sink.write('y'), 'E_OUTPUT_WRITE', pipe, /broken pipe; whoever read it has gone/);
});
