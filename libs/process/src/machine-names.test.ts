import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { test } from 'node:test';
import { machineNames, machineNamesFrom } from '#src/machine-names.js';

const HOSTS =
  '127.0.0.1 localhost\n# 10.0.0.9 old.example head\n10.0.0.1\thead.cluster.example head # of the cluster\n\n';

test('a machine is called by its name, by what its hosts file says beside it, and by its name in the domains of its network', () => {
  const resolver = 'nameserver 10.0.0.53\nsearch a.example b.example\noptions ndots:5\n';
  assert.deepEqual(machineNamesFrom('head', HOSTS, resolver), [
    'head',
    'head.cluster.example',
    'head.a.example',
    'head.b.example',
  ]);
});

test('a name in full gets no domain; other machines in the files do not count', () => {
  assert.deepEqual(machineNamesFrom('w1.cluster.example', HOSTS, 'domain a.example'), ['w1.cluster.example']);
  assert.deepEqual(machineNamesFrom('w1', '', ''), ['w1']);
});

test("this machine's own name is among its names", () => {
  assert.ok(machineNames().includes(hostname()));
});
