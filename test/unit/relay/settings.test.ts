// Invalid relay options are refused before anything is opened.

import {expect, test} from 'vitest';
import {settleRelayOptions} from '../../../src/lib/relay/settings.js';

const domainOf = (length: number) => `${'x.'.repeat(length)}example`.slice(-length);

test.each([
  ['a public host that agents would refuse', {tcpPublicHost: 'r1.example;id'}],
  ['a public host with letters outside ASCII', {tcpPublicHost: 'bücher.example'}],
  ['a domain that is too long for the longest name', {domain: domainOf(191)}],
  ['more successors than a goodbye has room for', {successors: Array(21).fill('https://r2.example')}],
])('%s', async (_what, options) => {
  await expect(settleRelayOptions({token: '', ...options})).rejects.toMatchObject({code: 'OPTION_INVALID'});
});

test.each([
  ['an address', {tcpPublicHost: '2001:db8::1'}],
  ['a name', {tcpPublicHost: 'tcp.example'}],
  ['the longest domain', {domain: domainOf(189)}],
])('%s is accepted', async (_what, options) => {
  await expect(settleRelayOptions({token: '', ...options})).resolves.toMatchObject(options);
});

test.each(['0.0.0.0:0', '[::]:0', '192.0.2.1:443', 'relay.example:443'])(
  'without a token only this machine may reach it: %s',
  async (listen) => {
    await expect(settleRelayOptions({token: '', listen})).rejects.toMatchObject({code: 'TOKEN_NEEDED'});
    await expect(
      settleRelayOptions({token: '', tcpHost: listen.slice(0, listen.lastIndexOf(':'))}),
    ).rejects.toMatchObject({
      code: 'TOKEN_NEEDED',
    });
    await expect(settleRelayOptions({token: 'x'.repeat(16), listen})).resolves.toMatchObject({
      token: 'x'.repeat(16),
    });
  },
);

test('a successor is written like --relay of an agent', async () => {
  await expect(settleRelayOptions({token: '', successors: ['r2.example']})).rejects.toMatchObject({
    code: 'RELAY_URL_INVALID',
  });
  await expect(
    settleRelayOptions({token: '', successors: ['https://R2.example:443/', 'https://r3.example:8443']}),
  ).resolves.toMatchObject({successors: ['https://r2.example', 'https://r3.example:8443']});
});
