import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './harness.js';

const COORDINATOR = fileURLToPath(import.meta.resolve('@lockstep/coordinator/main'));
const LIMIT = 150;

it('a coordinator that can open no more files says so, names the limit, and answers again when there is room', async (test) => {
  const flags = ['--preset=tiny', '--steps=5', '--port=0', `--out=${join(temporaryFolder(test), 'run')}`];
  const limited = ['-c', `ulimit -n ${LIMIT}; exec "$0" "$@"`, process.execPath, COORDINATOR, ...flags];
  const child = spawn('bash', limited, { stdio: ['ignore', 'pipe', 'inherit'] });
  test.after(() => child.kill('SIGKILL'));
  let log = '';
  const closed = new Promise<null>((resolve) => child.on('close', () => resolve(null)));
  const said = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(log);
      if (match !== null) return match;
      const more = new Promise((resolve) => child.stdout.once('data', resolve));
      assert.notEqual(await Promise.race([more, closed]), null, `it ended and said: ${log}`);
    }
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (log += text));
  const port = Number((await said(/listening on [\d.]+:(\d+)/))[1]);

  const held: Socket[] = Array.from({ length: LIMIT }, () => connect(port, '127.0.0.1').on('error', () => undefined));
  await said(
    /warn E_OPEN_FILES: a connection was refused, \d+ are open, and the limit of open files \(ulimit -n\) is 150/,
  );
  for (const socket of held) socket.destroy();
  for (;;) {
    // It may not have seen yet that they are gone.
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => null);
    if (answer?.ok === true) break;
  }
  child.kill('SIGTERM');
  await closed;
  assert.equal(log.match(/E_OPEN_FILES/g)?.length, 1);
});
