import {expect, test} from 'vitest';
import {isLoopback, lookup, parseRelayUrl} from '../../../src/lib/carrier/relay-url.js';

test.each([
  ['https://relay.example.net', 'relay.example.net', 443, 'relay.example.net', 'relay.example.net:443'],
  ['https://relay.example.net/', 'relay.example.net', 443, 'relay.example.net', 'relay.example.net:443'],
  ['https://Relay.Example:8443', 'relay.example', 8443, 'relay.example:8443', 'relay.example:8443'],
  ['https://relay.example:443', 'relay.example', 443, 'relay.example', 'relay.example:443'],
  ['https://[2001:db8::1]:8443', '2001:db8::1', 8443, '[2001:db8::1]:8443', '[2001:db8::1]:8443'],
  ['https://192.0.2.7', '192.0.2.7', 443, '192.0.2.7', '192.0.2.7:443'],
  [
    'https://bücher.example',
    'xn--bcher-kva.example',
    443,
    'xn--bcher-kva.example',
    'xn--bcher-kva.example:443',
  ],
])('%s', (text, host, port, authority, label) => {
  expect(parseRelayUrl(text)).toEqual({host, port, authority, label});
});

test.each([
  ['', 'not a URL'],
  ['relay.example.net', 'not a URL'],
  ['relay.example.net:8443', 'begins with'],
  ['http://relay.example.net', 'begins with http:'],
  ['wss://relay.example.net', 'begins with wss:'],
  ['https://', 'not a URL'],
  ['https://relay.example.net:0', 'port 0'],
  ['https://relay.example.net:65536', 'not a URL'],
  ['https://user:hunter2@relay.example.net', 'user name or password'],
  ['https://relay.example.net/path', 'after the host'],
  ['https://relay.example.net?x=1', 'after the host'],
  ['https://relay.example.net#x', 'after the host'],
])('%j is refused', (text, why) => {
  const parse = () => parseRelayUrl(text);
  expect(parse).toThrow(
    expect.objectContaining({code: 'RELAY_URL_INVALID', message: expect.stringContaining(why)}),
  );
  expect(parse).not.toThrow(/hunter2/);
});

test.each([
  ['localhost', true],
  ['LOCALHOST', true],
  ['localhost.', true],
  ['relay.tunl.localhost', true],
  ['127.0.0.1', true],
  ['127.9.8.7', true],
  ['::1', true],
  ['notlocalhost', false],
  ['localhost.example', false],
  ['128.0.0.1', false],
  ['127.example', false],
  ['::2', false],
])('%s is loopback: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

const resolve = (host: string, options: Parameters<typeof lookup>[1]) =>
  new Promise((done, fail) => {
    lookup(host, options, (error, ...answer) => (error === null ? done(answer) : fail(error)));
  });

test('names under .localhost are loopback, without a resolver', async () => {
  const both = [
    {address: '127.0.0.1', family: 4},
    {address: '::1', family: 6},
  ];
  expect(await resolve('anything.at.all.localhost', {all: true})).toEqual([both]);
  expect(await resolve('x.localhost', {all: true, family: 6})).toEqual([[both[1]]]);
  expect(await resolve('x.localhost', {})).toEqual(['127.0.0.1', 4]);
  expect(await resolve('x.localhost', {family: 6})).toEqual(['::1', 6]);
});

test('other names are asked for', async () => {
  await expect(resolve(`${'a'.repeat(64)}.example`, {all: true})).rejects.toMatchObject({code: 'ENOTFOUND'});
});
