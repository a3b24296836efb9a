// The memory that stays with a connection after its handshake.

import {once} from 'node:events';
import {createServer, type Socket} from 'node:net';
import {setImmediate} from 'node:timers/promises';
import {connect, createSecureContext, type TLSSocket} from 'node:tls';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {expect} from 'vitest';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {createLogger} from '../../../../src/lib/core/logger.js';
import type {Arrival} from '../../../../src/lib/relay/doors/front-door.js';
import {SecureDoor, type SecureDoorOptions} from '../../../../src/lib/relay/doors/secure-door.js';
import {selfSigned} from '../../../helpers/certificates.js';
import {test} from '../../../helpers/test.js';

const name = 'demo.r1.localhost';
const connection = {peer: {source: 'a', address: 'a', port: 1}, secures: () => true, mayBegin: () => true};

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('an open connection keeps neither its ClientHello nor a piece of the buffer pool', async ({scope}) => {
  const {cert, key} = await selfSigned([name]);
  const welcomed = Promise.withResolvers<TLSSocket>();
  const tunnel = {alpn: ['h2', 'http/1.1'], host: name, owner: 'one'};
  const door = new SecureDoor({
    certificates: {contextFor: () => createSecureContext({cert, key}), isDoubtful: () => false},
    tunnels: {named: () => tunnel},
    visitors: {
      admits: () => true,
      welcome: (_tunnel: unknown, {socket}: {socket: TLSSocket}) => welcomed.resolve(socket),
    },
    limits: {admits: () => true},
    waitingRoom: {},
    onOwn: () => {},
    clock: systemClock,
    events: {emit: () => {}},
    log: createLogger('test', undefined),
  } as unknown as SecureDoorOptions);
  const heads: WeakRef<Buffer>[] = [];
  const server = createServer({allowHalfOpen: true}, (raw) => {
    scope.onEnd(() => void raw.destroy());
    raw.once('readable', () => {
      const head = raw.read() as Buffer;
      heads.push(new WeakRef(head));
      const arrival = {
        connection: {...connection, raw, enter: () => {}},
        head,
        name,
        alpn: ['h2', 'http/1.1'],
      };
      door.enterTunnel(arrival as unknown as Arrival, 'demo');
    });
  });
  const port = await scope.listen(server);
  const client = connect({port, host: '127.0.0.1', servername: name, ca: cert, ALPNProtocols: ['h2']});
  scope.onEnd(() => void client.destroy());
  await once(client, 'secureConnect');
  const socket = await welcomed.promise;
  expect(socket.alpnProtocol).toBe('h2');
  // A weak reference keeps its object until the end of the turn.
  for (let i = 0; i < 3; i += 1) {
    await setImmediate();
    collect();
  }
  expect(heads.map((head) => head.deref())).toEqual([undefined]);
  const {ALPNProtocols: kept} = (socket as Socket as unknown as {_tlsOptions: {ALPNProtocols: Buffer}})
    ._tlsOptions;
  expect(kept.buffer.byteLength).toBe(kept.length);
});
