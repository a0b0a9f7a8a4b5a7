/** Addresses that become URLs: a run on IPv6 loopback, from the printed line to the ring. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Cli, ENDLESS, addressOf, digestOf, lockstep, temporaryFolder, tinyRun, untilTogether } from './harness.js';
import { stopped } from './undisturbed.js';

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

describe('a run on IPv6 loopback', () => {
  const skip = hasIpv6 ? false : 'no IPv6 loopback on this machine';
  it('trains with two workers; whatever it says of its address can be dialled', { skip }, async (test) => {
    const out = join(temporaryFolder(test), 'run');
    // Steps may be faster than a checkpoint is written, and the next one then takes its place: that is no part of this.
    const run = new Cli(tinyRun(out, 2, ENDLESS, '--host', '::1', '--checkpoint-every', String(ENDLESS)));
    const address = await addressOf(run);
    assert.ok(address.startsWith('http://[::1]:'), address);
    await untilTogether(run, 2, 2);
    assert.deepEqual(Reflect.get(JSON.parse(readFileSync(join(out, 'coordinator.json'), 'utf8')), 'address'), address);
    const status = await lockstep('status', out);
    assert.equal(status.status, 0, status.stderr);
    assert.match(status.stdout, /worker-1 /);
    const { digest } = await stopped(run, out);
    assert.doesNotMatch((await run.ended).stdout, /starting it again|E_(?!STRAGGLER)/);
    assert.equal(await digestOf(out), digest);
  });
});
