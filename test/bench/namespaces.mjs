/**
 * A small cluster on this machine: network namespaces around a bridge, each behind a link of limited rate in both directions (veth,
 * tc tbf), each with a share of a core (cgroup, version 1 or 2). Needs root, ip and tc.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A private range (RFC 1918); it exists inside the namespaces only. */
const NETWORK = '10.77.0.';
/** Short periods: a worker that has used up its share waits a millisecond or two, not a tenth of a second. Microseconds. */
const PERIOD_US = 2_500;
/** What a port of a switch would hold back before it drops: 20 ms. */
const QUEUE = ['burst', '256kb', 'latency', '20ms'];

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
const namespaceOf = (id, member) => `lockstep-bench-${id}-${member}`;

/** Why this machine cannot have such a cluster, and what would help; null if it can. */
export function whyNot() {
  if (process.getuid?.() !== 0)
    return 'network namespaces and cgroups need root; run it as root (sudo npm run bench -- scale)';
  for (const tool of ['ip', 'tc'])
    if (spawnSync(tool, ['-V']).error !== undefined) return `${tool} was not found. Debian: apt-get install iproute2`;
  if (cgroupRoot() === null)
    return 'no cgroup controller for the processor is mounted (cpu), so that cores cannot be shared';
  try {
    const trial = namespaceOf(process.pid, 'trial');
    ip('netns', 'add', trial);
    ip('netns', 'del', trial);
    return null;
  } catch (error) {
    return `the kernel allows no network namespaces here (${String(error.stderr).trim()}); a container needs --privileged`;
  }
}

/** Where groups are made, and how one is given a share of a core. */
function cgroupRoot() {
  const first = '/sys/fs/cgroup/cpu';
  const quota = (cores) => Math.round(cores * PERIOD_US);
  if (existsSync(join(first, 'cgroup.procs'))) {
    const share = (cores) => [
      ['cpu.cfs_period_us', PERIOD_US],
      ['cpu.cfs_quota_us', cores === null ? -1 : quota(cores)],
    ];
    return { path: first, share };
  }
  const second = '/sys/fs/cgroup';
  if (!existsSync(join(second, 'cgroup.controllers'))) return null;
  writeFileSync(join(second, 'cgroup.subtree_control'), '+cpu');
  return { path: second, share: (cores) => [['cpu.max', `${cores === null ? 'max' : quota(cores)} ${PERIOD_US}`]] };
}

/** Removes what a run left that was killed (SIGKILL, power): its process is gone. */
function sweep() {
  const { path } = cgroupRoot();
  for (const name of readdirSync(path)) {
    const pid = /^lockstep-bench-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeGroup(join(path, name));
  }
  for (const line of ip('netns', 'list').split('\n')) {
    const [name, pid] = /^lockstep-bench-(\d+)-\w+/.exec(line) ?? [];
    if (name !== undefined && !existsSync(`/proc/${pid}`)) ip('netns', 'del', name);
  }
}

/**
 * @param {object} cluster
 * @param {number} cluster.members
 * @returns {{hub: Place, members: Place[], limit: (rate: string | null) => void, share: (cores: number | null) => void, close: () =>
 *   void}} places as training-run.mjs wants them; the hub is the bridge's own namespace, without limits. limit: rate of each
 *   member's link, as tc writes it; share: of one core, for each member; null: no limit, as at first
 */
export function openCluster({ members }) {
  sweep();
  const id = process.pid;
  const hub = namespaceOf(id, 'hub');
  const groups = [];
  const names = Array.from({ length: members }, (_, index) => namespaceOf(id, index));
  const close = () => {
    for (const name of [hub, ...names]) spawnSync('ip', ['netns', 'del', name]);
    for (const group of groups) removeGroup(group);
  };
  try {
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
      groups.push(makeGroup(name));
    }
  } catch (error) {
    close();
    throw error;
  }
  const limit = (rate) => {
    for (const [index, name] of names.entries())
      for (const [namespace, device] of [
        [name, 'eth0'],
        [hub, `port${index}`],
      ]) {
        spawnSync('tc', ['-n', namespace, 'qdisc', 'del', 'dev', device, 'root']);
        if (rate !== null)
          execFileSync('tc', ['-n', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', 'rate', rate, ...QUEUE]);
      }
  };
  return {
    hub: { before: ['ip', 'netns', 'exec', hub], host: `${NETWORK}1` },
    members: names.map((name, index) => ({
      name: `worker-${index}`,
      // The group first: inside the namespace /sys is another one.
      before: [...inGroup(groups[index]), 'ip', 'netns', 'exec', name],
      host: `${NETWORK}${index + 2}`,
    })),
    limit,
    share: (cores) => {
      for (const group of groups)
        for (const [file, value] of cgroupRoot().share(cores)) writeFileSync(join(group, file), String(value));
    },
    close,
  };
}

function makeGroup(name) {
  const group = join(cgroupRoot().path, name);
  mkdirSync(group, { recursive: true });
  return group;
}

/** A command is put into the group before it starts, so that its threads are all in it. */
const inGroup = (group) => ['sh', '-c', 'echo $$ > "$0" && exec "$@"', join(group, 'cgroup.procs')];

/** A group goes when its last process has gone, which takes the kernel a moment after the kill. */
function removeGroup(group) {
  for (let attempt = 0; attempt < 100 && existsSync(group); attempt++) {
    try {
      rmdirSync(group);
    } catch (error) {
      if (error.code !== 'EBUSY') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    }
  }
}
