import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalHost, hostInUrl, isLoopback, isWildcard, reachableHere } from '#src/http/addresses.js';

test('every address that a server can listen on makes a URL, and comes out of it in one form', () => {
  const forms: [string, string][] = [
    ['127.0.0.1', '127.0.0.1'],
    ['127.1', '127.0.0.1'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['FE80::1', 'fe80::1'],
    ['::ffff:127.0.0.1', '::ffff:7f00:1'],
    ['Head.Example.', 'head.example'],
  ];
  for (const [host, canonical] of forms) {
    assert.equal(canonicalHost(host), canonical);
    assert.ok(URL.canParse(`ws://${hostInUrl(host)}:29400/control`), host);
  }
});

test('what is no host alone has no canonical form', () => {
  for (const text of ['', 'a b', 'a:80', '[::1]', 'user@host', 'a/b', 'a?b', 'a#b', 'fe80::1%eth0', '1.2.3.4.5'])
    assert.equal(canonicalHost(text), null, text);
});

test('addresses that only this machine reaches are told from the others', () => {
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost', 'LOCALHOST', 'a.localhost'])
    assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'fe80::1', 'localhost.example', '127.0.0.1.example', 'head', '%'])
    assert.ok(!isLoopback(host), host);
});

test('all addresses are dialled on this machine by loopback of the same family, any other address as it is', () => {
  for (const [host, dialled] of [
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['0::0', '::1'],
    ['::1', '::1'],
    ['10.1.2.3', '10.1.2.3'],
    ['head', 'head'],
  ])
    assert.equal(reachableHere(host), dialled);
  assert.ok(isWildcard('0::0') && !isWildcard('::1'));
});
