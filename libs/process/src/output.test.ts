import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { guardOutput } from '#src/output.js';

/** What becomes of an error of standard output. */
function guarded(code: string): { gone: boolean; lost: string[] } {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const lost: string[] = [];
  const gone = guardOutput({ stdout, stderr }, (text) => lost.push(text));
  assert.equal(gone.aborted, false);
  const error = Object.assign(new Error('of the system'), { code });
  stderr.emit('error', error);
  assert.equal(gone.aborted, false, 'standard error is not what is printed');
  stdout.emit('error', error);
  stdout.emit('error', error);
  return { gone: gone.aborted, lost };
}

test('a reader or a terminal that has gone is told without a word', () => {
  for (const code of ['EPIPE', 'EIO', 'ECONNRESET']) assert.deepEqual(guarded(code), { gone: true, lost: [] });
});

test('output that cannot be written is a failure, told once with a code', () => {
  const { gone, lost } = guarded('ENOSPC');
  assert.equal(gone, true);
  assert.equal(lost.length, 1);
  assert.match(lost[0], /^E_OUTPUT_WRITE: .*of the system/);
});
