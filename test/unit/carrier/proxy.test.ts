import {describe, expect, test} from 'vitest';
import {bypassesProxy, ignoredProxy, proxyFor} from '../../../src/lib/carrier/proxy.js';
import {parseRelayUrl} from '../../../src/lib/carrier/relay-url.js';

const relay = parseRelayUrl('https://relay.example.net');

describe('which proxy', () => {
  test('none without the variable, or with an empty one', () => {
    expect(proxyFor(relay, {})).toBeUndefined();
    expect(proxyFor(relay, {HTTPS_PROXY: ''})).toBeUndefined();
    expect(proxyFor(relay, {HTTP_PROXY: 'http://other:1'})).toBeUndefined();
  });

  test.each([
    ['http://proxy.example:3128', 'proxy.example', 3128, false],
    ['proxy.example:3128', 'proxy.example', 3128, false],
    ['http://proxy.example', 'proxy.example', 80, false],
    ['https://proxy.example', 'proxy.example', 443, true],
    ['http://[2001:db8::5]:8080', '2001:db8::5', 8080, false],
  ])('%s', (text, host, port, secure) => {
    expect(proxyFor(relay, {HTTPS_PROXY: text})).toMatchObject({
      host,
      port,
      secure,
      authorization: undefined,
    });
  });

  test('the lower-case variable comes first', () => {
    expect(proxyFor(relay, {https_proxy: 'a:1', HTTPS_PROXY: 'b:2'})).toMatchObject({host: 'a'});
    expect(proxyFor(relay, {https_proxy: '', HTTPS_PROXY: 'b:2'})).toBeUndefined();
  });

  test('credentials become Basic, percent-decoded, and are in no label', () => {
    const proxy = proxyFor(relay, {HTTPS_PROXY: 'http://us%40er:p%3Ass%C3%BC@proxy.example:3128'});
    expect(proxy?.authorization).toBe(`Basic ${Buffer.from('us@er:p:ssü').toString('base64')}`);
    expect(proxy?.label).toBe('proxy.example:3128');
    expect(proxyFor(relay, {HTTPS_PROXY: 'http://50%:x@p:1'})?.authorization).toBe(`Basic ${btoa('50%:x')}`);
  });

  test.each([
    'http://',
    'socks5://secret@proxy:1080',
    'http://se cret@x y',
    'http://joe:p@secret#1@host',
    'http://joe:p@secret?1@host:3128',
    'http://joe:p@secret/1@host',
  ])('%s cannot be used', (text) => {
    const find = () => proxyFor(relay, {HTTPS_PROXY: text});
    expect(find).toThrow(expect.objectContaining({code: 'PROXY_FAILED'}));
    expect(find).not.toThrow(/secret|se cret/);
  });

  test.each(['https://localhost', 'https://r1.tunl.localhost:8443', 'https://127.0.0.1', 'https://[::1]:9'])(
    '%s is never reached through one',
    (url) => {
      expect(proxyFor(parseRelayUrl(url), {HTTPS_PROXY: 'http://proxy:3128'})).toBeUndefined();
    },
  );

  test('ALL_PROXY is not used, which is said where it would count', () => {
    const ALL_PROXY = 'socks5://user:secret@proxy:1080';
    expect(ignoredProxy(relay, {ALL_PROXY})).toMatch(
      /^ALL_PROXY is not used: tunl knows no SOCKS proxies; set /,
    );
    expect(ignoredProxy(relay, {all_proxy: 'http://proxy:3128'})).toMatch(/^ALL_PROXY is not used; set /);
    expect(ignoredProxy(relay, {ALL_PROXY, HTTPS_PROXY: 'http://proxy:3128'})).toBeUndefined();
    expect(ignoredProxy(relay, {ALL_PROXY, NO_PROXY: '*'})).toBeUndefined();
    expect(ignoredProxy(parseRelayUrl('https://localhost'), {ALL_PROXY})).toBeUndefined();
    expect(ignoredProxy(relay, {})).toBeUndefined();
  });

  test('NO_PROXY', () => {
    expect(proxyFor(relay, {HTTPS_PROXY: 'p:1', NO_PROXY: 'example.net'})).toBeUndefined();
    expect(proxyFor(relay, {HTTPS_PROXY: 'p:1', no_proxy: 'other', NO_PROXY: 'example.net'})).toBeDefined();
  });
});

test.each([
  ['*', 'relay.example.net', 443, true],
  ['', 'relay.example.net', 443, false],
  ['relay.example.net', 'relay.example.net', 443, true],
  ['RELAY.example.NET', 'relay.example.net', 443, true],
  ['relay.example.net.', 'relay.example.net', 443, true],
  ['relay.example.net', 'relay.example.net.', 443, true],
  ['example.net', 'relay.example.net', 443, true],
  ['.example.net', 'relay.example.net', 443, true],
  ['*.example.net', 'relay.example.net', 443, true],
  ['ample.net', 'relay.example.net', 443, false],
  ['other.net, example.net', 'relay.example.net', 443, true],
  ['other.net example.net', 'relay.example.net', 443, true],
  ['example.net:443', 'relay.example.net', 443, true],
  ['example.net:8443', 'relay.example.net', 443, false],
  ['192.0.2.7', '192.0.2.7', 443, true],
  ['192.0.2.0/24', '192.0.2.7', 443, true],
  ['192.0.2.0/24', '192.0.3.7', 443, false],
  ['192.0.2.7:443', '192.0.2.7', 443, true],
  ['192.0.2.7:1', '192.0.2.7', 443, false],
  ['2001:db8::1', '2001:db8::1', 443, true],
  ['2001:db8::/32', '2001:db8:5::1', 443, true],
  ['[2001:db8::1]:443', '2001:db8::1', 443, true],
  ['[2001:db8::1]:1', '2001:db8::1', 443, false],
  ['192.0.2.0/99', '192.0.2.7', 443, false],
  ['192.0.2.0/x', '192.0.2.7', 443, false],
  ['2.7', '192.0.2.7', 443, false],
  ['.', 'relay.example.net', 443, false],
  [':443', 'relay.example.net', 443, false],
  ['[', 'relay.example.net', 443, false],
])('NO_PROXY=%s, %s:%i: %s', (noProxy, host, port, expected) => {
  expect(bypassesProxy({host, port}, noProxy)).toBe(expected);
});
