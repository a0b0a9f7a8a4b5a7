import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { launchersOf } from '#src/launchers.js';

const PROGRAM = 'console.log(String(process.pid));setInterval(()=>{},1000)';

/** The process that the command starts at last, by what that prints. */
async function startedBy(command: string, ...args: readonly string[]): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [text] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, pid: Number(text.toString()) };
}

test('the launchers of a program are npm and the shell between, and none where a person or a supervisor started it', async () => {
  const { child, pid } = await startedBy('npm', 'exec', '-c', `node -e "${PROGRAM}"`);
  const launchers = launchersOf(pid).map((launcher) => launcher.pid);
  assert.equal(launchers.at(-1), child.pid);
  assert.ok(!launchers.includes(process.pid));
  process.kill(pid, 'SIGKILL');
  await once(child, 'exit');

  for (const args of [
    [process.execPath, '-e', PROGRAM],
    // The shell of a script or of ssh may end at any time, and means nothing by it.
    ['sh', '-c', `node -e "${PROGRAM}"; true`],
  ] as const) {
    const [command, ...rest] = args;
    const plain = await startedBy(command, ...rest);
    assert.deepEqual(launchersOf(plain.pid), []);
    process.kill(plain.pid, 'SIGKILL');
    await once(plain.child, 'exit');
  }
});
