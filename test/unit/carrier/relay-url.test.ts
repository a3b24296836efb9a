import {expect, test} from 'vitest';
import {parseRelayUrl} from '../../../src/lib/carrier/relay-url.js';

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
