// A visitor's socket gets no property that other sockets do not have. Node's code for all sockets becomes slower with each
// shape of a socket that it sees, for all visitors and for as long as the process lives.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import {outliveFailedWrites} from '../../../src/lib/bytes/failed-writes.js';
import {readAccepted} from '../../../src/lib/bytes/read-accepted.js';
import {readOn, stopReading} from '../../../src/lib/bytes/reading.js';
import {keepAlive} from '../../../src/lib/net/keep-alive.js';
import {peerOf} from '../../../src/lib/relay/doors/peer.js';
import {portOf, type Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

async function accepted(scope: Scope): Promise<{peer: Socket; socket: Socket}> {
  const server = createServer({allowHalfOpen: true});
  await scope.listen(server);
  const peer = connect({port: portOf(server), host: '127.0.0.1'});
  scope.onEnd(() => void peer.destroy());
  const [socket] = (await once(server, 'connection')) as [Socket];
  scope.onEnd(() => void socket.destroy());
  return {peer, socket};
}

test('a socket has the same properties after all that a splice does with it', async ({scope}) => {
  const {socket} = await accepted(scope);
  const before = Reflect.ownKeys(socket);
  expect(peerOf(socket)).toMatchObject({address: '127.0.0.1'});
  keepAlive(socket, 5_000);
  outliveFailedWrites(socket, () => {});
  expect(readAccepted(socket, () => true)).toBe(true);
  stopReading(socket);
  stopReading(socket);
  expect(Reflect.ownKeys(socket)).toEqual(before);
  readOn(socket);
  expect(Reflect.ownKeys(socket)).toEqual(before);
});

test('bytes stay in the kernel until reading goes on, also when the stream asks for them meanwhile', async ({
  scope,
}) => {
  const {peer, socket} = await accepted(scope);
  const got: string[] = [];
  socket.on('data', (piece) => void got.push(String(piece)));
  await once(socket, 'resume');
  stopReading(socket);
  socket.read(0);
  peer.write('words');
  const other = await accepted(scope);
  other.peer.write('other');
  await once(other.socket, 'data');
  expect([got, socket.readableLength]).toEqual([[], 0]);
  readOn(socket);
  readOn(socket);
  await once(socket, 'data');
  expect(got).toEqual(['words']);
});
