import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { CheckpointError } from '#src/errors.js';
import { isLocalFolder, isLocalKind } from '#src/ledger/file-system-kind.js';
import { hasCode, ledgerFolder } from './ledger.fixture.js';
import { judgeHolder, ownHolder, type LockHolder } from '#src/ledger/lock-holder.js';
import { takeWriterLock } from '#src/ledger/writer-lock.js';

const NO_FLOCK = spawnSync('flock', ['--version']).status === 0 ? false : 'no flock(1) on this system';
const NO_HOST_NAMES =
  spawnSync('unshare', ['--uts', 'hostname', 'elsewhere']).status === 0
    ? false
    : 'this user may not give a process a host name of its own';
const ELSEWHERE: LockHolder = { host: 'elsewhere', pid: 7, started: 'another-boot/1' };

/** Where a lock can be in a new folder, which no other test uses. */
async function lockPath(context: TestContext): Promise<string> {
  const folder = await ledgerFolder(context);
  await fs.mkdir(folder, { recursive: true });
  return join(folder, 'writer.lock');
}

/** A process that takes the lock and starts another one, which outlives it; it says "taken", or the code of the error. */
const TAKER = `
  import { spawn } from 'node:child_process';
  const { takeWriterLock } = await import(process.argv[1]);
  const lock = await takeWriterLock(process.argv[2], { warn: (text) => console.log('warning', text) })
    .catch((error) => (console.log(error.code), process.exit(3)));
  const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).on('error', () => undefined);
  console.log('taken ' + child.pid);
  process.stdin.resume();`;

async function taker(
  context: TestContext,
  path: string,
  how: { readonly host?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<{ child: ChildProcess; said: string[] }> {
  const node = [
    process.execPath,
    '--input-type=module',
    '-e',
    TAKER,
    import.meta.resolve('#src/ledger/writer-lock.js'),
  ];
  const named =
    how.host === undefined ? [] : ['unshare', '--uts', 'sh', '-c', `hostname ${how.host} && exec "$@"`, 'sh'];
  const [command, ...args] = [...named, ...node, path];
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...how.env } });
  context.after(() => child.kill('SIGKILL'));
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    const [first, outliving] = line.split(' ');
    if (first !== 'taken') continue;
    if (outliving !== 'undefined') context.after(() => process.kill(Number(outliving), 'SIGKILL'));
    break;
  }
  return { child, said };
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

/** Processes whose command line has this text. */
function processesWith(text: string): { pid: number; name: string; session: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(text)) return [];
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const session = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
        return [{ pid: Number(pid), name: readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), session }];
      } catch {
        return [];
      }
    });
}

const isLocked = (error: unknown, says: RegExp): boolean =>
  hasCode('E_LEDGER_LOCKED')(error) && error instanceof CheckpointError && says.test(error.message);

test(
  'a lock whose holder was killed under another host name, as in a container made anew, is taken over at once; a living holder keeps it',
  { skip: NO_FLOCK || NO_HOST_NAMES },
  async (context) => {
    const path = await lockPath(context);
    const { child } = await taker(context, path, { host: 'container-1' });
    const says = new RegExp(`process ${child.pid} on host container-1 writes`);
    await assert.rejects(takeWriterLock(path, { takeOver: true }), (error) => isLocked(error, says));
    await killed(child);
    await (await takeWriterLock(path)).release();
  },
);

test(
  'a living holder keeps the lock whatever name its file has, also against --take-over',
  { skip: NO_FLOCK },
  async (context) => {
    const path = await lockPath(context);
    const lock = await takeWriterLock(path);
    const own = await fs.readFile(path, 'utf8');
    for (const text of [JSON.stringify({ ...ELSEWHERE, kernel: true }), '{"host":']) {
      await fs.writeFile(path, text);
      await assert.rejects(takeWriterLock(path, { takeOver: true }), (error) => isLocked(error, /writes this ledger/));
    }
    await fs.writeFile(path, own);
    await lock.release();
    assert.deepEqual(await fs.readdir(join(path, '..')), ['writer.lock.kernel']);
  },
);

test('of a holder on another host, that had no lock of the kernel, only the operator can say that it is gone', async (context) => {
  const path = await lockPath(context);
  for (const text of [JSON.stringify(ELSEWHERE), '{"host":']) {
    await fs.writeFile(path, text);
    await assert.rejects(takeWriterLock(path), (error) => isLocked(error, /--take-over/));
    const warnings: string[] = [];
    await (await takeWriterLock(path, { takeOver: true, warn: (warning) => warnings.push(warning) })).release();
    assert.match(warnings.at(-1) ?? '', /taken over from/);
  }
});

test('a holder of an older version that lives on this host is not taken over', async (context) => {
  const path = await lockPath(context);
  // This test's parent is such a process.
  await fs.writeFile(path, JSON.stringify({ host: hostname(), pid: process.ppid, started: '' }));
  await assert.rejects(takeWriterLock(path, { takeOver: true }), (error) => isLocked(error, /stop it first/));
});

test('without flock(1) the file alone is the lock, and that is said', async (context) => {
  const path = await lockPath(context);
  const { child, said } = await taker(context, path, { env: { PATH: '/nonexistent' } });
  assert.match(said[0] ?? '', /^warning .*flock/);
  await assert.rejects(takeWriterLock(path), (error) => isLocked(error, new RegExp(`process ${child.pid}`)));
  await killed(child);
  await (await takeWriterLock(path)).release();
});

test(
  'a lock whose helper is killed is held again, in a session of its own each time',
  { skip: NO_FLOCK },
  async (context) => {
    const path = await lockPath(context);
    const warnings: string[] = [];
    const lock = await takeWriterLock(path, { warn: (text) => warnings.push(text) });
    for (const [round, whole] of [false, true, false].entries()) {
      const [helper, ...more] = processesWith(`${path}.kernel`);
      assert.deepEqual([helper.name, more], ['flock', []]);
      assert.equal(helper.session, helper.pid, 'a signal to the terminal does not reach it');
      process.kill(whole ? -helper.pid : helper.pid, 'SIGKILL');
      while (warnings.length <= round) await new Promise((resolve) => setTimeout(resolve, 10));
      await lock.pending;
      lock.assertHeld();
      await assert.rejects(takeWriterLock(path), (error) => isLocked(error, /writes this ledger/));
    }
    await lock.release();
    assert.deepEqual(processesWith(`${path}.kernel`), []);
  },
);

test(
  'signals that a supervisor sends to every process do not end the helper of a lock',
  { skip: NO_FLOCK },
  async (context) => {
    const path = await lockPath(context);
    const warnings: string[] = [];
    const lock = await takeWriterLock(path, { warn: (text) => warnings.push(text) });
    const [helper] = processesWith(`${path}.kernel`);
    const all = ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGXCPU'] as const;
    for (const signal of all) process.kill(-helper.pid, signal);
    await assert.rejects(takeWriterLock(path), (error) => isLocked(error, /writes this ledger/));
    await lock.release();
    assert.deepEqual(warnings, []);
  },
);

test(
  'a lock that another process got when the helper was killed is lost, and that one keeps its file',
  { skip: NO_FLOCK },
  async (context) => {
    const path = await lockPath(context);
    const lock = await takeWriterLock(path);
    const [helper] = processesWith(`${path}.kernel`);
    // In the kernel's queue, so it has the lock before the holder can ask again.
    const other = spawn('flock', ['-w', '600', `${path}.kernel`, 'sleep', '600'], { detached: true, stdio: 'ignore' });
    context.after(() => process.kill(-Number(other.pid), 'SIGKILL'));
    const { ino } = await fs.stat(`${path}.kernel`);
    const waits = new RegExp(`-> FLOCK .*:${ino} `);
    const isWaiting = (): boolean => waits.test(readFileSync('/proc/locks', 'utf8'));
    while (!isWaiting()) await new Promise((resolve) => setTimeout(resolve, 10));
    process.kill(helper.pid, 'SIGKILL');
    const lost = (): boolean => {
      try {
        lock.assertHeld();
        return false;
      } catch (error) {
        return hasCode('E_LEDGER_LOCK_LOST')(error);
      }
    };
    while (!lost()) await new Promise((resolve) => setTimeout(resolve, 10));
    await fs.writeFile(path, 'of the other');
    await lock.release();
    assert.equal(await fs.readFile(path, 'utf8'), 'of the other');
  },
);

test('what proves that a holder is dead, and what does not', () => {
  const own = { ...ownHolder(true), started: 'boot/9' };
  const base = { own, locked: true, local: true, exists: true };
  const elsewhere = { ...ELSEWHERE, kernel: true };
  const neighbour = { ...elsewhere, started: 'boot/1' };
  const here = { ...elsewhere, host: own.host };
  const table = [
    // The kernel's lock, where it can be believed.
    ['dead', { ...base, holder: elsewhere }],
    ['dead', { ...base, holder: here }],
    ['dead', { ...base, holder: neighbour, local: false }],
    // On a network's file system the lock of another kernel may not be seen.
    ['unproved', { ...base, holder: elsewhere, local: false }],
    // Without the kernel's lock, then or now, names and numbers decide.
    ['unproved', { ...base, holder: elsewhere, locked: false }],
    ['unproved', { ...base, holder: neighbour, locked: false }],
    ['unproved', { ...base, holder: ELSEWHERE }],
    ['alive', { ...base, holder: { ...here, kernel: false } }],
    ['dead', { ...base, holder: { ...here, kernel: false }, exists: false }],
    ['alive', { ...base, holder: here, locked: false }],
    ['dead', { ...base, holder: here, locked: false, exists: false }],
    ['unproved', { ...base, holder: null, exists: false }],
    // A system that does not tell its boot is like no other.
    ['unproved', { ...base, own: { ...own, started: '' }, holder: { ...elsewhere, started: '' }, local: false }],
  ] as const;
  for (const [verdict, evidence] of table) assert.equal(judgeHolder(evidence), verdict, JSON.stringify(evidence));
});

test('file systems of one machine are told from those that others may share', async (context) => {
  // ext4, xfs, btrfs, overlayfs, tmpfs, zfs
  for (const type of [0xef53, 0x58465342, 0x9123683e, 0x794c7630, 0x01021994, 0x2fc12fc1]) assert.ok(isLocalKind(type));
  // NFS, CIFS, SMB2, FUSE, 9p, Ceph, Lustre, GFS2, OCFS2, and one that does not exist
  for (const type of [
    0x6969, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400, 0x0bd00bd0, 0x01161970, 0x7461636f, 1,
  ])
    assert.ok(!isLocalKind(type), type.toString(16));
  const folder = join(await lockPath(context), '..');
  assert.equal(typeof (await isLocalFolder(folder)), 'boolean');
});
