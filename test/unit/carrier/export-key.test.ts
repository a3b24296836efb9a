// Key material of a carrier's TLS: the same at both ends, different on each connection and for each purpose.
import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import tls, {type TLSSocket} from 'node:tls';
import {expect} from 'vitest';
import {WebSocketCarrier} from '../../../src/lib/carrier/ws-carrier.js';
import {carrierPair, testIdentity} from '../../helpers/carriers.js';
import {test} from '../../helpers/test.js';

test('both ends of a connection have the same, no other connection has it', async ({scope}) => {
  const [one, two] = [await carrierPair(scope), await carrierPair(scope)];
  const key = one.agent.exportKey('EXPORTER-a', 32);
  expect(key).toHaveLength(32);
  expect(one.relay.exportKey('EXPORTER-a', 32)).toEqual(key);
  expect(one.agent.exportKey('EXPORTER-b', 32)).not.toEqual(key);
  expect(two.agent.exportKey('EXPORTER-a', 32)).not.toEqual(key);
});

test('closed TLS, or TLS older than 1.3, gives none and says so', async ({scope}) => {
  const {key, cert, ca} = await testIdentity();
  const server = tls.createServer({key, cert, maxVersion: 'TLSv1.2'});
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const socket = tls.connect({host: '127.0.0.1', port: await scope.listen(server), ca});
  scope.onEnd(() => void socket.destroy());
  const [peer] = await accepted;
  for (const [end, role] of [
    [socket, 'agent'],
    [peer, 'relay'],
  ] as const) {
    const carrier = new WebSocketCarrier({socket: end, role});
    expect(() => carrier.exportKey('EXPORTER-a', 32)).toThrow('TLS 1.3');
  }
  const pair = await carrierPair(scope);
  pair.agent.destroy();
  expect(() => pair.agent.exportKey('EXPORTER-a', 32)).toThrow();
});

test('a carrier without TLS has none', async ({scope}) => {
  const server = createServer();
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = connect(await scope.listen(server), '127.0.0.1');
  scope.onEnd(() => void socket.destroy());
  await accepted;
  expect(new WebSocketCarrier({socket, role: 'agent'}).exportKey('EXPORTER-a', 32)).toBeUndefined();
});
