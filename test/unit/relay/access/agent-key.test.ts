// An agent's key proves who it is to the relay that it dialled, on the connection that it dialled, and nowhere else.

import {generateKeyPairSync} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {connect, createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import tls from 'node:tls';
import {expect} from 'vitest';
import {loadIdentity} from '../../../../src/lib/agent/identity.js';
import {forward} from '../../../../src/lib/forward.js';
import {createPipe} from '../../../../src/lib/mux/pipe.js';
import {provenKey} from '../../../../src/lib/relay/access/agent-key.js';
import {startRelay} from '../../../../src/lib/relay/start.js';
import {createAuthority} from '../../../helpers/certificates.js';
import {RawAgent} from '../../../helpers/raw-agent.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const domain = 'r1.localhost';

async function aRelay(scope: Scope, token = '') {
  const authority = await createAuthority();
  const folder = await scope.tempDir('relay');
  const {key, cert} = await authority.issue([domain, `*.${domain}`]);
  const [keyFile, certFile, caFile] = ['key.pem', 'cert.pem', 'ca.pem'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([writeFile(keyFile, key), writeFile(certFile, cert), writeFile(caFile, authority.cert)]);
  const relay = scope.own(await startRelay({domain, token, stateDir: folder, keyFile, certFile}));
  return {relay, authority, caFile, port: relay.address.port};
}

/** Connects two sockets in both directions. */
function join2(one: Socket, other: Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  }
}

test('a relay that passes on another relay’s nonce gets no tunnel there', async ({scope}) => {
  const {relay, authority, caFile, port} = await aRelay(scope);
  const stateDir = await scope.tempDir();
  // Ends the agent's TLS under a certificate that the agent trusts, and passes all bytes on to the real relay.
  const identity = await authority.issue(['r2.localhost', domain]);
  const hostile = tls.createServer(identity, (socket) =>
    join2(socket, tls.connect({host: '127.0.0.1', port, servername: domain, ca: authority.cert})),
  );
  const hostilePort = await scope.listen(hostile);
  for (const host of ['r2.localhost', domain]) {
    const attempt = forward(9, {relay: `https://${host}:${hostilePort}`, caFile, stateDir});
    await expect(attempt, host).rejects.toMatchObject({code: 'TOKEN_WRONG'});
  }
  expect(relay.stats().agents).toBe(0);
});

test('the relay that was dialled accepts the key, also through a proxy that passes on bytes', async ({
  scope,
}) => {
  const {relay, caFile, port} = await aRelay(scope);
  const passage = createServer((socket) => join2(socket, connect(port, '127.0.0.1')));
  const through = await scope.listen(passage);
  for (const each of [port, through]) {
    const stateDir = await scope.tempDir();
    await using _tunnel = await forward(9, {relay: `https://${domain}:${each}`, caFile, stateDir});
    expect(relay.stats().agents).toBe(1);
  }
});

test('a relay asks for the key only when no token says who the agent is', async ({scope}) => {
  const token = 'a-token-of-16-or-more';
  const [open, closed] = [await aRelay(scope), await aRelay(scope, token)];
  const asked = await RawAgent.connect(scope, {...open, domain});
  expect(await asked.message('challenge')).toMatchObject({identify: domain});
  const notAsked = await RawAgent.connect(scope, {...closed, domain, token});
  expect(await notAsked.message('challenge')).not.toHaveProperty('identify');
});

test('an agent whose token is for other relays has its names by its key at a relay without tokens', async ({
  scope,
}) => {
  const {relay, caFile, port} = await aRelay(scope);
  const [one, two] = [await scope.tempDir(), await scope.tempDir()];
  const open = (stateDir: string) =>
    forward(9, {
      relay: `https://${domain}:${port}`,
      caFile,
      stateDir,
      token: 'for-another-one',
      subdomain: 'demo',
    });
  const first = await open(one);
  await first.close();
  await expect(open(two)).rejects.toMatchObject({code: 'NAME_TAKEN'});
  await using again = await open(one);
  expect(again.url).toContain('demo');
  expect(relay.stats().tunnels).toBe(1);
});

test('a proof is for one relay, one handshake and one connection', async ({scope}) => {
  const identify = await loadIdentity(await scope.tempDir());
  const [pipe] = createPipe();
  const over = (exported: string, peerHost = domain) => ({
    ...pipe,
    peerHost,
    exportKey: () => Buffer.from(exported),
  });
  const nonces = {relayNonce: 'a'.repeat(32), agentNonce: 'b'.repeat(32)};
  const ask = (carrier: typeof pipe) => ({
    type: 'hello' as const,
    software: 'x',
    nonce: nonces.agentNonce,
    identity: identify({carrier, ...nonces}),
  });
  const {relayNonce} = nonces;
  const hello = ask(over('one'));
  const carrier = over('one');
  expect(provenKey(hello, {domain, relayNonce, carrier})).toMatch(/^key:[0-9a-f]{32}$/);
  expect(provenKey(hello, {domain: 'r2.localhost', relayNonce, carrier})).toBeUndefined();
  expect(provenKey(hello, {domain, relayNonce: 'c'.repeat(32), carrier})).toBeUndefined();
  expect(provenKey({...hello, nonce: 'd'.repeat(32)}, {domain, relayNonce, carrier})).toBeUndefined();
  expect(provenKey(hello, {domain, relayNonce, carrier: over('another')})).toBeUndefined();
  // A signature without TLS is valid only without TLS.
  const bare = {...pipe, peerHost: domain};
  expect(provenKey(ask(bare), {domain, relayNonce, carrier: bare})).toMatch(/^key:/);
  expect(provenKey(ask(bare), {domain, relayNonce, carrier})).toBeUndefined();
  expect(provenKey(hello, {domain, relayNonce, carrier: bare})).toBeUndefined();
});

test('a key that is not Ed25519 proves nothing', async () => {
  const [carrier] = createPipe();
  const {publicKey} = generateKeyPairSync('ec', {namedCurve: 'P-256'});
  const key = publicKey.export({type: 'spki', format: 'der'}).toString('base64url');
  for (const each of [key, 'none', '']) {
    const hello = {
      type: 'hello',
      software: 'x',
      nonce: 'b'.repeat(32),
      identity: {key: each, signature: 'x'},
    };
    const asked = {domain, relayNonce: 'a'.repeat(32), carrier};
    expect(provenKey(hello as Parameters<typeof provenKey>[0], asked)).toBeUndefined();
  }
});
