/** Addresses that become URLs: a run on IPv6 loopback, from the printed line to the ring. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Cli, addressOf, digestOf, lockstep, temporaryFolder, tinyRun, untilStep } from './harness.js';

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
const STEPS = 30;

describe('a run on IPv6 loopback', () => {
  const skip = hasIpv6 ? false : 'no IPv6 loopback on this machine';
  it('trains with two workers; whatever it says of its address can be dialled', { skip }, async (test) => {
    const out = join(temporaryFolder(test), 'run');
    const run = new Cli(tinyRun(out, 2, STEPS, '--host', '::1'));
    const address = await addressOf(run);
    assert.ok(address.startsWith('http://[::1]:'), address);
    await untilStep(run, 2);
    assert.deepEqual(Reflect.get(JSON.parse(readFileSync(join(out, 'coordinator.json'), 'utf8')), 'address'), address);
    const status = await lockstep('status', out);
    // The run may be over by then.
    if (status.status === 0) assert.match(status.stdout, /worker-1 /);
    else assert.match(status.stderr, /E_STATUS_UNREACHABLE/);
    const ended = await run.ended;
    assert.equal(ended.status, 0, ended.stdout + ended.stderr);
    assert.doesNotMatch(ended.stdout, /starting it again|E_/);
    assert.match(await digestOf(out), /^[0-9a-f]{64}$/);
  });
});
