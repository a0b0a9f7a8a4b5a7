import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { Log, type LogStream } from '#src/log.js';

const logOn = (stream: LogStream, level: 'info' | 'debug' = 'info'): Log =>
  new Log({ stream, level, wallNow: () => 0 });

/** A pipe whose reader takes what is written when `read` is called. */
class Pipe extends Writable {
  text = '';
  private waiting: (() => void)[] = [];

  override _write(chunk: Buffer, _: BufferEncoding, taken: () => void): void {
    this.waiting.push(() => {
      this.text += chunk.toString();
      taken();
    });
  }

  async read(): Promise<void> {
    for (let take = this.waiting.shift(); take !== undefined; take = this.waiting.shift()) {
      take();
      await new Promise(setImmediate);
    }
  }
}

test('lines below the level are left out', async () => {
  for (const [level, count] of [
    ['info', 3],
    ['debug', 4],
  ] as const) {
    const pipe = new Pipe();
    const log = logOn(pipe, level);
    for (const line of ['debug', 'info', 'warn', 'error'] as const) log.line(line, 'text');
    await pipe.read();
    assert.equal(pipe.text.split('\n').length - 1, count);
    assert.match(pipe.text, /^1970-01-01T00:00:00.000Z \w+ text\n/);
  }
});

test('a reader that stands still costs bounded memory; when it goes on it is told how many lines it has missed', async () => {
  const pipe = new Pipe();
  const log = logOn(pipe);
  for (let line = 0; line < 10_000; line++) log.line('info', 'x'.repeat(100));
  assert.ok(pipe.writableLength < 300 * 1024, `${pipe.writableLength} bytes wait`);
  assert.equal(await log.end(), false, 'the end does not wait for it');
  await pipe.read();
  const before = pipe.text.split('\n').length - 1;
  log.line('info', 'after');
  await pipe.read();
  const [, missed] =
    /warn E_OUTPUT_WRITE: (\d+) lines before this one could not be written\n.* info after\n$/.exec(pipe.text) ?? [];
  assert.equal(before + Number(missed), 10_000);
  assert.equal(await log.end(), true);
});

test('a reader that has gone stops nothing', async () => {
  const pipe = new Pipe();
  const log = logOn(pipe);
  pipe.destroy(Object.assign(new Error('gone'), { code: 'EPIPE' }));
  await new Promise(setImmediate);
  log.line('error', 'text');
  assert.equal(await log.end(), true);
});

test('a full device stops nothing', { skip: process.platform === 'linux' ? false : 'no /dev/full' }, () => {
  const fd = openSync('/dev/full', 'w');
  const stream = Object.assign(new Writable(), { fd });
  const log = logOn(stream);
  for (let line = 0; line < 3; line++) log.line('info', 'text');
  closeSync(fd);
});

test('a file gets its lines again when there is room, and what is missing', (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-log-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'log');
  const stream = Object.assign(new Writable(), { fd: -1 });
  const log = logOn(stream);
  log.line('info', 'lost');
  stream.fd = openSync(path, 'w');
  log.line('info', 'kept');
  closeSync(stream.fd);
  assert.match(readFileSync(path, 'utf8'), / warn E_OUTPUT_WRITE: 1 lines .*\n.* info kept\n$/);
});
