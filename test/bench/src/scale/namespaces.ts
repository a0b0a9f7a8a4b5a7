/**
 * A small cluster on this machine: network namespaces around a bridge, each behind a link of limited rate in both directions (veth,
 * tc tbf), each with a share of a core (cgroup, version 1 or 2). Needs root, ip and tc.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Place, WorkerPlace } from '../train/training-run.js';

/** A private range (RFC 1918); it exists inside the namespaces only. */
const NETWORK = '10.77.0.';
/** Short periods: a worker that has used up its share waits a millisecond or two, not a tenth of a second. Microseconds. */
const PERIOD_US = 2_500;
/** What a port of a switch would hold back before it drops: 20 ms. */
const QUEUE = ['burst', '256kb', 'latency', '20ms'];

const ip = (...args: string[]): string =>
  execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
const namespaceOf = (id: number, member: string): string => `lockstep-bench-${id}-${member}`;

/** Why this machine cannot have such a cluster, and what would help; null if it can. */
export function whyNot(): string | null {
  if (process.getuid?.() !== 0)
    return 'network namespaces and cgroups need root; run it as root (sudo npm run bench -- scale)';
  for (const tool of ['ip', 'tc'])
    if (spawnSync(tool, ['-V']).error !== undefined) return `${tool} was not found. Debian: apt-get install iproute2`;
  if (findGroups() === null)
    return 'no cgroup controller for the processor is mounted (cpu), so that cores cannot be shared';
  try {
    const trial = namespaceOf(process.pid, 'trial');
    ip('netns', 'add', trial);
    ip('netns', 'del', trial);
    return null;
  } catch (error) {
    const why = error instanceof Error ? error.message.trim() : String(error);
    return `the kernel allows no network namespaces here (${why}); a container needs --privileged`;
  }
}

/** Where groups are made, and how one is given a share of a core: files to write, and what. */
interface Groups {
  readonly path: string;
  readonly share: (cores: number | null) => readonly (readonly [string, string | number])[];
}

function findGroups(): Groups | null {
  const first = '/sys/fs/cgroup/cpu';
  const quota = (cores: number): number => Math.round(cores * PERIOD_US);
  if (existsSync(join(first, 'cgroup.procs'))) {
    return {
      path: first,
      share: (cores) => [
        ['cpu.cfs_period_us', PERIOD_US],
        ['cpu.cfs_quota_us', cores === null ? -1 : quota(cores)],
      ],
    };
  }
  const second = '/sys/fs/cgroup';
  if (!existsSync(join(second, 'cgroup.controllers'))) return null;
  writeFileSync(join(second, 'cgroup.subtree_control'), '+cpu');
  return { path: second, share: (cores) => [['cpu.max', `${cores === null ? 'max' : quota(cores)} ${PERIOD_US}`]] };
}

/** Removes what a run left that was killed (SIGKILL, power): its process is gone. */
function sweep({ path }: Groups): void {
  const isGone = (pid: string | undefined): boolean => pid !== undefined && !existsSync(`/proc/${pid}`);
  for (const name of readdirSync(path))
    if (isGone(/^lockstep-bench-(\d+)-/.exec(name)?.[1])) removeGroup(join(path, name));
  for (const line of ip('netns', 'list').split('\n')) {
    const [name, pid] = /^lockstep-bench-(\d+)-\w+/.exec(line) ?? [];
    if (name !== undefined && isGone(pid)) ip('netns', 'del', name);
  }
}

export interface Cluster {
  /** The bridge's own namespace, without limits. */
  readonly hub: Place;
  readonly members: readonly WorkerPlace[];
  /** Rate of each member's link, as tc writes it; null: no limit, as at first. */
  readonly limit: (rate: string | null) => void;
  /** Of one core, for each member; null: no limit, as at first. */
  readonly share: (cores: number | null) => void;
  readonly close: () => void;
}

/** Opens a cluster of so many members. Throws where {@link whyNot} says why. */
export function openCluster({ members }: { readonly members: number }): Cluster {
  const found = findGroups();
  if (found === null) throw new Error('there are no cgroups');
  sweep(found);
  const id = process.pid;
  const hub = namespaceOf(id, 'hub');
  const names = Array.from({ length: members }, (_, index) => namespaceOf(id, String(index)));
  const groups = names.map((name) => join(found.path, name));
  const close = (): void => {
    for (const name of [hub, ...names]) spawnSync('ip', ['netns', 'del', name]);
    for (const group of groups) removeGroup(group);
  };
  try {
    connect(hub, names);
    for (const group of groups) mkdirSync(group, { recursive: true });
  } catch (error) {
    close();
    throw error;
  }
  return {
    hub: { before: ['ip', 'netns', 'exec', hub], host: `${NETWORK}1` },
    members: names.map((name, index) => ({
      name: `worker-${index}`,
      // The group first: inside the namespace /sys is another one.
      before: [...inGroup(groups[index]), 'ip', 'netns', 'exec', name],
      host: `${NETWORK}${index + 2}`,
    })),
    limit: (rate) => {
      for (const [index, name] of names.entries()) {
        limitDevice(name, 'eth0', rate);
        limitDevice(hub, `port${index}`, rate);
      }
    },
    share: (cores) => {
      for (const group of groups)
        for (const [file, value] of found.share(cores)) writeFileSync(join(group, file), String(value));
    },
    close,
  };
}

/** Namespaces with a link each to the hub's bridge. */
function connect(hub: string, names: readonly string[]): void {
  ip('netns', 'add', hub);
  ip('-n', hub, 'link', 'add', 'bridge', 'type', 'bridge');
  ip('-n', hub, 'addr', 'add', `${NETWORK}1/24`, 'dev', 'bridge');
  for (const device of ['lo', 'bridge']) ip('-n', hub, 'link', 'set', device, 'up');
  for (const [index, name] of names.entries()) {
    ip('netns', 'add', name);
    ip('-n', hub, 'link', 'add', `port${index}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    ip('-n', hub, 'link', 'set', `port${index}`, 'master', 'bridge', 'up');
    ip('-n', name, 'addr', 'add', `${NETWORK}${index + 2}/24`, 'dev', 'eth0');
    for (const device of ['lo', 'eth0']) ip('-n', name, 'link', 'set', device, 'up');
  }
}

function limitDevice(namespace: string, device: string, rate: string | null): void {
  spawnSync('tc', ['-n', namespace, 'qdisc', 'del', 'dev', device, 'root']);
  if (rate !== null)
    execFileSync('tc', ['-n', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', 'rate', rate, ...QUEUE]);
}

/** A command is put into the group before it starts, so that its threads are all in it. */
const inGroup = (group: string): string[] => ['sh', '-c', 'echo $$ > "$0" && exec "$@"', join(group, 'cgroup.procs')];

/** A group goes when its last process has gone, which takes the kernel a moment after the kill. */
function removeGroup(group: string): void {
  for (let attempt = 0; attempt < 100 && existsSync(group); attempt++) {
    try {
      rmdirSync(group);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EBUSY')) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}
