// The source of an address, and when an address can be read.

import {execFileSync} from 'node:child_process';
import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {expect, test} from 'vitest';
import {peerOf, sourceOf} from '../../../../src/lib/relay/doors/peer.js';
import {Scope} from '../../../helpers/scope.js';

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::9', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:1::', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64%eth0'],
])('%s belongs to %s', (address, source) => {
  expect(sourceOf(address)).toBe(source);
});

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
