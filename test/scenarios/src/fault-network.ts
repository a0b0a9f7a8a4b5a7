/** Faults of the network: a proxy on the way of one worker's connections. */
import { HEARTBEAT_TIMEOUT_MS, type Cluster } from './cluster.js';
import type { Bench, Fault, Injection } from './fault.js';
import { ADVERTISED, LOCAL } from './local.js';
import { Proxy, freePort, type Address, type Pace } from './proxy.js';
import { median } from './timeline.js';

const VICTIM = 'worker-1';
const TIMEOUT_S = HEARTBEAT_TIMEOUT_MS / 1000;
const SLOW: Pace = { bytesPerSecond: 2_000_000, delayMs: 20 };
const SLOW_STEPS = 5;

type Inject = (proxy: Proxy, cluster: Cluster) => Promise<Injection>;

/** The victim dials the coordinator through the proxy. */
async function onControl(inject: Inject): Promise<Bench> {
  let target: Address = { host: LOCAL, port: 1 };
  const proxy = await Proxy.listen({ host: LOCAL, port: 0 }, () => target);
  return {
    layout: {
      worker: ({ name, coordinatorPort }) => {
        target = { host: LOCAL, port: coordinatorPort };
        return name === VICTIM ? { args: ['--coordinator', `ws://${LOCAL}:${proxy.port}`] } : {};
      },
    },
    inject: async (cluster) => [await inject(proxy, cluster)],
    close: () => proxy.close(),
  };
}

/** The victim's successor, and whoever fetches a state from it, dial it through the proxy. */
async function onRing(inject: Inject): Promise<Bench> {
  const port = await freePort();
  const proxy = await Proxy.listen({ host: ADVERTISED, port }, () => ({ host: LOCAL, port }));
  return {
    layout: {
      // A later flag wins: this port instead of the one that the worker was given.
      worker: ({ name }) => (name === VICTIM ? { args: ['--advertise-host', ADVERTISED, '--port', String(port)] } : {}),
    },
    inject: async (cluster) => [await inject(proxy, cluster)],
    close: () => proxy.close(),
  };
}

const blackhole: Inject = async (proxy, cluster) => {
  const { generation } = cluster;
  const at = performance.now();
  if (proxy.blackhole() === 0) throw new Error('no connection goes through the proxy');
  return { seconds: await cluster.secondsToCommit(at, generation) };
};

export const halfOpenControl: Fault = {
  id: 'half-open-control',
  title: "a worker's control connection goes half-open",
  goal: 'under 2 heartbeat timeouts',
  met: ({ seconds }) => median(seconds) < 2 * TIMEOUT_S,
  waitsForSilence: true,
  open: () => onControl(blackhole),
};

export const halfOpenRing: Fault = {
  id: 'half-open-ring',
  title: 'a ring connection goes half-open',
  goal: 'under 2 heartbeat timeouts',
  met: ({ seconds }) => median(seconds) < 2 * TIMEOUT_S,
  waitsForSilence: true,
  open: () => onRing(blackhole),
};

export const slowLink: Fault = {
  id: 'slow-link',
  title: 'a ring link of 2 MB/s and 20 ms (seconds: a step)',
  goal: 'goes on by itself',
  met: () => true,
  open: () =>
    onRing(async (proxy, cluster) => {
      proxy.setPace(SLOW);
      const at = performance.now();
      await cluster.commits(SLOW_STEPS);
      const seconds = median(cluster.timeline.gaps(at, performance.now()));
      proxy.setPace(null);
      return { seconds };
    }),
};
