// When the address of a connection can be read, and its form.

import {execFileSync} from 'node:child_process';
import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {expect, test} from 'vitest';
import {peerOf} from '../../../../src/lib/relay/doors/peer.js';
import {Scope} from '../../../helpers/scope.js';

test('a connection has its address from the accept on; IPv4 over IPv6 counts as IPv4', async () => {
  await using scope = new Scope();
  const door = createServer();
  const port = await scope.listen(door, '::');
  const accepted = once(door, 'connection');
  const visitor = connect(port, '127.0.0.1');
  const [socket] = (await accepted) as [Socket];
  expect(peerOf(socket)).toEqual({
    address: '127.0.0.1',
    port: (visitor.address() as {port: number}).port,
    source: '127.0.0.1',
  });
  visitor.destroy();
});

test('a connection that was reset before it was accepted has no source', async () => {
  await using scope = new Scope();
  const door = createServer();
  const port = await scope.listen(door);
  const accepted = once(door, 'connection');
  // Runs to its end before this process returns to its listener.
  const script = `import socket, struct
s = socket.create_connection(('127.0.0.1', ${port}))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
s.close()`;
  execFileSync('python3', ['-c', script]);
  const [socket] = (await accepted) as [Socket];
  socket.on('error', () => {});
  expect(peerOf(socket)).toBeUndefined();
});
