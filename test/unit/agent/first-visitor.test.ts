// A visitor who arrives in the same read as the answer to the bind: the agent knows already where it has come to.

import {expect} from 'vitest';
import type {TunnelSettings} from '../../../src/lib/agent/tunnel-settings.js';
import {TunnelGates} from '../../../src/lib/agent/upstreams/gated/tunnel-gates.js';
import {ProxyHeader} from '../../../src/lib/agent/upstreams/proxy-header.js';
import {KIND} from '../../../src/lib/protocol/wire.js';
import {Opened} from '../../helpers/opened.js';
import type {Scope} from '../../helpers/scope.js';
import {ScriptedRelay} from '../../helpers/scripted-relay.js';
import {scriptedTunnel} from '../../helpers/scripted-tunnel.js';
import {test} from '../../helpers/test.js';
import {recordingUpstream} from '../../helpers/upstreams.js';

const VISITOR = {tunnel: 1, via: 'tls', address: '203.0.113.7', port: 50_000};

/** A tunnel with a visitor in the read of its bind; what the visitor sends, and what it gets. */
async function visited(scope: Scope, settings: Partial<TunnelSettings>, request: string) {
  const upstream = await recordingUpstream(scope);
  const relay = new ScriptedRelay();
  const visitor = new Opened();
  relay.onBound = (session) => {
    const stream = session.open(KIND.visitor, VISITOR);
    if (stream === undefined) throw new Error('no session');
    visitor.onOpen(stream);
    stream.write(Buffer.from(request));
  };
  await scriptedTunnel(scope, relay, upstream.port, settings);
  return {upstream, visitor};
}

test('its PROXY header has the port of the tunnel', async ({scope}) => {
  const {upstream} = await visited(scope, {proxyHeader: new ProxyHeader(1)}, 'hello');
  const {socket, received} = await upstream.connection(0);
  const line = 'PROXY TCP4 203.0.113.7 0.0.0.0 50000 443\r\n';
  expect(String(await received(line.length))).toBe(line);
  socket.destroy();
});

test('a gate knows its host, and lets the visitor in or out', async ({scope}) => {
  const gates = new TunnelGates({
    ...{isStream: false, isPrivate: false, forwarded: false, h2: false, waitMs: 0, offlinePage: false},
    basicAuth: {user: 'guest', password: 'correct horse battery'},
  });
  const head = 'GET / HTTP/1.1\r\nHost: demo.r1.test\r\nConnection: close\r\n\r\n';
  const {visitor, upstream} = await visited(scope, {gates}, head);
  await visitor.ended;
  expect(visitor.heard).toMatch(/^HTTP\/1\.1 401 /);
  expect(upstream.recorded).toEqual([]);
});
