// What people write for ports and destinations.

import {describe, expect, test} from 'vitest';
import {readForward} from '../../../src/lib/egress/forward.js';
import {readAuthority, readPlain} from '../../../src/lib/egress/proxy/plain-http.js';
import {ProxySecret} from '../../../src/lib/egress/proxy/secret.js';

describe('a forward', () => {
  test.each([
    ['db.corp:5432', 0, 'db.corp', 5432],
    ['15432:db.corp:5432', 15_432, 'db.corp', 5432],
    ['0:db.corp:5432', 0, 'db.corp', 5432],
    ['192.0.2.1:22', 0, '192.0.2.1', 22],
    ['[2001:db8::1]:443', 0, '2001:db8::1', 443],
    ['8443:[2001:db8::1]:443', 8443, '2001:db8::1', 443],
    [' db.corp:5432 ', 0, 'db.corp', 5432],
  ])('%j', (text, localPort, host, port) => {
    expect(readForward(text)).toEqual({localPort, to: {host, port}});
  });

  test.each([
    ['', 'TARGET_INVALID'],
    ['5432', 'TARGET_INVALID'],
    ['db.corp', 'TARGET_INVALID'],
    [':5432', 'TARGET_INVALID'],
    ['5432:5432', 'TARGET_INVALID'],
    ['2001:db8::1:443', 'TARGET_INVALID'],
    ['https://db.corp:443', 'TARGET_INVALID'],
    ['a b:5432', 'TARGET_INVALID'],
    ['db.corp:http', 'TARGET_INVALID'],
    ['db.corp:0', 'PORT_RANGE'],
    ['db.corp:70000', 'PORT_RANGE'],
    ['70000:db.corp:5432', 'PORT_RANGE'],
  ])('%j: %s', (text, code) => {
    expect(() => readForward(text)).toThrow(expect.objectContaining({code}));
  });
});

describe('a request to a proxy', () => {
  test.each([
    ['http://example.com', {host: 'example.com', port: 80, authority: 'example.com', path: '/'}],
    [
      'http://example.com:8080/a?b#c',
      {host: 'example.com', port: 8080, authority: 'example.com:8080', path: '/a?b'},
    ],
    ['HTTP://[::1]:8080/', {host: '::1', port: 8080, authority: '[::1]:8080', path: '/'}],
    ['http://me:secret@example.com/', {host: 'example.com', port: 80, authority: 'example.com', path: '/'}],
    [
      'http://example.com?x=http://y/',
      {host: 'example.com', port: 80, path: '/?x=http://y/', authority: 'example.com'},
    ],
    ['/', {status: 400}],
    ['*', {status: 400}],
    ['https://example.com/', {status: 501}],
    ['ftp://example.com/', {status: 501}],
    ['http:///x', {status: 400}],
    ['http://example.com:0/', {status: 400}],
    ['http://example.com:99999/', {status: 400}],
    ['http://exa mple/', {status: 400}],
  ])('%j', (url, expected) => {
    expect(readPlain(url)).toMatchObject(expected);
  });

  test.each([
    ['example.com:443', 'example.com', 443],
    ['[2001:db8::1]:22', '2001:db8::1', 22],
  ])('CONNECT %s', (authority, host, port) => {
    expect(readAuthority(authority, 0)).toEqual({host, port, authority});
  });

  test.each(['example.com', 'example.com:', ':443', 'a@b:1', '::1:443', '[::1]', 'a/b:1', '[x]:1', ''])(
    'CONNECT %j has no destination',
    (authority) => {
      expect(readAuthority(authority, 0)).toBeUndefined();
    },
  );
});

describe('the secret of a proxy', () => {
  const secret = new ProxySecret();
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

  test('is another one for each run, and safe in a URL and a shell', () => {
    expect(secret.text).toMatch(/^[0-9a-f]{32}$/);
    expect(new ProxySecret().text).not.toBe(secret.text);
  });

  test.each([
    ['its user', basic(`tunl:${secret.text}`), true],
    ['another user', basic(`me:${secret.text}`), true],
    ['another scheme spelling', basic(`:${secret.text}`).replace('Basic', 'basic'), true],
    ['a longer one', basic(`tunl:${secret.text}x`), false],
    ['none', basic('tunl:'), false],
    ['no colon', basic(secret.text), false],
    ['another scheme', `Bearer ${secret.text}`, false],
    ['nothing', '', false],
  ])('%s', (_name, header, isRight) => {
    expect(secret.isIn(header)).toBe(isRight);
  });
});
