import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusalOf, serverNames, type RequestHead } from '#src/http/request-origin.js';

const LOOPBACK = serverNames('127.0.0.1');
const NETWORK = serverNames('0.0.0.0', ['head', 'head.cluster.example', '.training', 'Proxy.Example.']);

function head(headers: RequestHead['headers'], method = 'GET', target = '/status'): RequestHead {
  return { method, target, headers };
}
const codeOf = (request: RequestHead, names = LOOPBACK): string => refusalOf(request, names)?.code ?? 'let in';
const ofHost = (host: string, names = LOOPBACK): string => codeOf(head({ host: [host] }), names);

test('a name in Host is let in if it is a number, this machine, or one that the operator gave', () => {
  for (const host of [
    '127.0.0.1:29400',
    '127.0.0.1',
    '10.1.2.3:29400',
    '[::1]:29400',
    '[::1]',
    '[fe80::1]:80',
    '0.0.0.0:1',
  ])
    for (const names of [LOOPBACK, NETWORK]) assert.equal(ofHost(host, names), 'let in', host);
  for (const host of ['localhost:29400', 'LocalHost', 'localhost.', 'run.localhost:29400', '2130706433', '127.1:29400'])
    for (const names of [LOOPBACK, NETWORK]) assert.equal(ofHost(host, names), 'let in', host);
  for (const host of [
    'head.cluster.example:29400',
    'HEAD.cluster.example.',
    'proxy.example',
    'coordinator.training:29400',
  ])
    assert.equal(ofHost(host, NETWORK), 'let in', host);
});

test('a server of a network is also asked by names that no public DNS has; one of loopback alone is not', () => {
  const names = ['lockstep-coordinator:29400', 'head', 'coordinator.ns.svc', 'coordinator.ns.svc.cluster.local:29400'];
  for (const host of [...names, 'printer.local', 'vm.internal', 'nas.lan', 'box.home.arpa', 'a.test']) {
    assert.equal(ofHost(host, NETWORK), 'let in', host);
    assert.equal(ofHost(host, LOOPBACK), 'E_HOST_REFUSED', host);
  }
});

test('any other name is refused, also one that only looks like those', () => {
  const names = ['evil.example:29400', 'evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:29400'];
  const alike = ['evillocalhost.example', 'head.cluster.example.evil.example', 'xtraining.example', 'evil%2eexample'];
  const broken = ['', ':29400', 'a b', '127.0.0.1@evil.example', '127.0.0.1/evil', '[::1', '::1', 'localhost:29400:1'];
  for (const host of [...names, ...alike, ...broken])
    for (const server of [LOOPBACK, NETWORK]) assert.equal(ofHost(host, server), 'E_HOST_REFUSED', host);
});

test('Host counts whatever the method, the path and the other headers are', () => {
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND'])
    for (const target of ['/', '/status', '/control', '/state/1', '/nosuch', '*', '/healthz']) {
      const site = { 'sec-fetch-site': ['same-origin'], origin: ['http://evil.example'] };
      assert.equal(codeOf(head({ host: ['evil.example'], ...site }, method, target)), 'E_HOST_REFUSED');
    }
});

test('a host in the request target counts too', () => {
  const host = ['127.0.0.1:29400'];
  assert.equal(codeOf(head({ host }, 'GET', 'http://evil.example/status')), 'E_HOST_REFUSED');
  assert.equal(codeOf(head({ host }, 'GET', 'ws://evil.example:29400?a')), 'E_HOST_REFUSED');
  assert.equal(codeOf(head({ host }, 'GET', 'http://127.0.0.1:29400/status')), 'let in');
});

test('without Host only probes are answered; more than one Host is refused', () => {
  for (const method of ['GET', 'HEAD'])
    for (const target of ['/healthz', '/metrics', '/metrics?a=b'])
      assert.equal(codeOf(head({}, method, target)), 'let in');
  for (const request of [
    head({}),
    head({}, 'POST', '/metrics'),
    head({}, 'GET', '/control'),
    head({}, 'GET', '/state/1'),
  ])
    assert.equal(codeOf(request), 'E_HOST_REFUSED');
  assert.equal(codeOf(head({ host: ['localhost', 'localhost'] })), 'E_HOST_REFUSED');
  assert.equal(codeOf(head({ origin: ['http://evil.example'] }, 'GET', '/metrics')), 'E_ORIGIN_REFUSED');
});

test('only a page of the server itself may ask, by its own host and port', () => {
  const asked = (host: string, ...origin: string[]): string => codeOf(head({ host: [host], origin }), NETWORK);
  for (const [host, origin] of [
    ['127.0.0.1:29400', 'http://127.0.0.1:29400'],
    ['[::1]:29400', 'http://[::1]:29400'],
    ['localhost', 'http://localhost'],
    ['localhost:80', 'http://localhost'],
    ['proxy.example', 'https://proxy.example'],
    ['Proxy.example:443', 'https://proxy.example'],
  ])
    assert.equal(asked(host, origin), 'let in', origin);
  for (const origin of [
    'http://evil.example',
    'http://localhost:3000',
    'http://127.0.0.1:29401',
    'http://localhost:29400',
    'http://127.0.0.1',
    'null',
    '',
    'file://',
    'chrome-extension://127.0.0.1:29400',
    'http://127.0.0.1:29400@evil.example',
    'http://127.0.0.1:29400/',
    'http://127.0.0.1:29400, http://evil.example',
  ])
    assert.equal(asked('127.0.0.1:29400', origin), 'E_ORIGIN_REFUSED', origin);
  assert.equal(asked('127.0.0.1:29400', 'http://127.0.0.1:29400', 'http://127.0.0.1:29400'), 'E_ORIGIN_REFUSED');
});

test('what a browser says of the page is believed where it names no origin', () => {
  const site = (value: string): string => codeOf(head({ host: ['127.0.0.1:29400'], 'sec-fetch-site': [value] }));
  assert.deepEqual(['none', 'same-origin'].map(site), ['let in', 'let in']);
  for (const value of ['cross-site', 'same-site', 'anything', '']) assert.equal(site(value), 'E_ORIGIN_REFUSED', value);
});

test('a refusal says what was asked for and what to do, and is short', () => {
  const refusal = refusalOf(head({ host: ['head.example:29400'] }), LOOPBACK);
  assert.match(refusal?.message ?? '', /"head\.example:29400".*--allowed-hosts head\.example$/);
  const long = refusalOf(head({ host: [`${'a.'.repeat(4_000)}example`] }), LOOPBACK);
  assert.ok((long?.message.length ?? 0) < 400);
});
