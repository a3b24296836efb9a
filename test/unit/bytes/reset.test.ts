import {once} from 'node:events';
import {createServer, type Socket} from 'node:net';
import {type TLSSocket, TLSSocket as TlsSocket} from 'node:tls';
import {expect} from 'vitest';
import {resetSocket} from '../../../src/lib/bytes/reset.js';
import {tlsPair} from '../../helpers/carriers.js';
import {test} from '../../helpers/test.js';
import {record} from '../../helpers/upstreams.js';
import {tcpVisitor} from '../../helpers/visitors.js';

async function pair(scope: Parameters<typeof tcpVisitor>[0]): Promise<{near: Socket; far: Socket}> {
  const server = createServer({allowHalfOpen: true});
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const far = await tcpVisitor(scope, await scope.listen(server));
  const [near] = await accepted;
  near.on('error', () => {});
  near.resume();
  return {near, far};
}

/** A socket that has read its end hears of a reset only when it writes. */
async function writeUntilClosed(socket: Socket): Promise<string | undefined> {
  const heard = record(socket);
  const writing = setInterval(() => socket.write('x'), 10);
  const code = await heard.closed;
  clearInterval(writing);
  return code;
}

test('a connection with nothing under way is reset', async ({scope}) => {
  const {near, far} = await pair(scope);
  const heard = record(far);
  resetSocket(near);
  expect(await heard.closed).toBe('ECONNRESET');
});

test('a reset right behind an end', async ({scope}) => {
  const {near, far} = await pair(scope);
  near.end();
  resetSocket(near);
  await once(near, 'close');
  expect(await writeUntilClosed(far)).toMatch(/ECONNRESET|EPIPE/);
});

test('a reset behind an end that waits for a peer who does not read', async ({scope}) => {
  const {near, far} = await pair(scope);
  far.pause();
  while (near.write(Buffer.alloc(1 << 20)));
  near.end();
  resetSocket(near);
  await once(near, 'close');
  expect(await writeUntilClosed(far)).toMatch(/ECONNRESET|EPIPE/);
});

test('a reset below TLS right behind an end', async ({scope}) => {
  const {agent, relay} = await tlsPair(scope);
  const raw = rawOf(relay);
  for (const socket of [agent, relay, raw]) socket.on('error', () => {});
  agent.resume();
  relay.end();
  resetSocket(relay, raw);
  await once(relay, 'close');
  const writing = setInterval(() => agent.write('x'), 10);
  await once(agent, 'close');
  clearInterval(writing);
});

/** What `tls.createServer` put its TLS on. */
function rawOf(socket: TLSSocket): Socket {
  expect(socket).toBeInstanceOf(TlsSocket);
  return (socket as unknown as {_parent: Socket})._parent;
}
