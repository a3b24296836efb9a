// The lines of a relay that starts: the whole command for agents, and who can reach it.

import {expect, test} from 'vitest';
import {listeningEvent} from '../../../src/lib/cli/listening.js';
import type {ListeningEvent} from '../../../src/lib/cli/relay-start-events.js';
import {NOTHING_YET} from '../../../src/lib/cli/tunnel-state.js';
import {sentences} from '../../../src/lib/cli/wording.js';
import type {Relay} from '../../../src/lib/relay/options.js';

const HERE: ListeningEvent = {
  type: 'listening',
  url: 'https://tunl.localhost:4433',
  domain: 'tunl.localhost',
  address: {host: '127.0.0.1', port: 4433},
  caFile: '/s/ca.pem',
};
const PUBLIC: ListeningEvent = {
  type: 'listening',
  url: 'https://r1.example.net',
  domain: 'r1.example.net',
  address: {host: '0.0.0.0', port: 443},
  tokenRequired: true,
  tokenFile: '/etc/tunl/my token',
};
const lines = (event: ListeningEvent) => sentences(event, NOTHING_YET).map(({text}) => text);
const warnings = (event: ListeningEvent) =>
  sentences(event, NOTHING_YET).flatMap(({tone, text}) => (tone === 'warning' ? [text] : []));

test('the command for agents is complete', () => {
  const command = (event: ListeningEvent) => lines(event)[1];
  expect(command(HERE)).toBe(
    'Agents connect with: tunl expose 8000 --relay https://tunl.localhost:4433 --ca-file /s/ca.pem',
  );
  expect(command(PUBLIC)).toBe(
    "Agents connect with: tunl expose 8000 --relay https://r1.example.net --token-file '/etc/tunl/my token'",
  );
  const {tokenFile: _, ...byVariable} = PUBLIC;
  expect(command(byVariable)).toBe(
    'Agents connect with: TUNL_TOKEN=… tunl expose 8000 --relay https://r1.example.net',
  );
});

test('the banner says who can reach the relay', () => {
  expect(warnings(HERE)).toEqual([expect.stringContaining('for this machine only')]);
  expect(warnings({...HERE, address: {host: '0.0.0.0', port: 443}, tokenRequired: true})).toEqual([
    expect.stringContaining('others need --domain NAME'),
  ]);
  expect(warnings(PUBLIC)).toEqual([]);
  expect(lines(PUBLIC)).toContain('On other machines, give --token-file a copy of that file.');
});

test('the command names the token’s file or variable', () => {
  const relay = (tokenRequired: boolean) =>
    ({...HERE, httpAddress: undefined, tokenRequired}) as unknown as Relay;
  expect(listeningEvent(relay(false))).toEqual(HERE);
  expect(listeningEvent(relay(true))).toEqual({...HERE, tokenRequired: true});
  expect(listeningEvent(relay(true), {tokenFile: '/t'})).toEqual({
    ...HERE,
    tokenRequired: true,
    tokenFile: '/t',
  });
});

test('ssh over TLS is an ssh command', () => {
  const ready = {
    type: 'ready',
    address: 'ssh -p 23447 dev@r1.example.net',
    url: 'https://abc.r1.example.net',
    tls: {host: 'abc.r1.example.net', port: 443},
    tcp: {host: 'r1.example.net', port: 23447},
    upstream: 'localhost:22',
    relay: {url: 'https://r1.example.net', embedded: false},
    h2: false,
  } as const;
  const [first] = sentences(ready, NOTHING_YET);
  expect(first?.text).toBe(
    "The same port over TLS: ssh -o ProxyCommand='tunl connect %h' dev@abc.r1.example.net",
  );
  const [other] = sentences({...ready, address: 'r1.example.net:23447'}, NOTHING_YET);
  expect(other?.text).toBe('The same port over TLS: https://abc.r1.example.net');
});
