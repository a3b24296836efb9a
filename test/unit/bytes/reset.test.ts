import {once} from 'node:events';
import {createServer, type Socket} from 'node:net';
import {connect, createSecureContext, TLSSocket} from 'node:tls';
import {expect} from 'vitest';
import {resetSocket} from '../../../src/lib/bytes/reset.js';
import {testIdentity, tlsPair} from '../../helpers/carriers.js';
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

/** A socket that has read its end notices a reset only when it writes. */
async function writeUntilClosed(socket: Socket): Promise<string | undefined> {
  const heard = record(socket);
  const writing = setInterval(() => socket.write('x'), 10);
  const code = await heard.closed;
  clearInterval(writing);
  return code;
}

/** `once` of node:events would reject at the expected reset. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

test('a connection without traffic is reset', async ({scope}) => {
  const {near, far} = await pair(scope);
  const heard = record(far);
  resetSocket(near);
  expect(await heard.closed).toBe('ECONNRESET');
});

test('a reset right after an end', async ({scope}) => {
  const {near, far} = await pair(scope);
  near.end();
  resetSocket(near);
  await closed(near);
  expect(await writeUntilClosed(far)).toMatch(/ECONNRESET|EPIPE/);
});

test('a reset after an end that waits for a peer who does not read', async ({scope}) => {
  const {near, far} = await pair(scope);
  far.pause();
  while (near.write(Buffer.alloc(1 << 20)));
  near.end();
  resetSocket(near);
  await closed(near);
  expect(await writeUntilClosed(far)).toMatch(/ECONNRESET|EPIPE/);
});

test('a reset below TLS right after an end', async ({scope}) => {
  const {agent, relay} = await tlsPair(scope);
  const raw = rawOf(relay);
  for (const socket of [agent, relay, raw]) socket.on('error', () => {});
  agent.resume();
  relay.end();
  resetSocket(relay, raw);
  await closed(relay);
  const writing = setInterval(() => agent.write('x'), 10);
  if (!agent.closed) await closed(agent);
  clearInterval(writing);
});

test('resets during the handshake do not end the process', async ({scope}) => {
  const {key, cert, ca} = await testIdentity();
  const secureContext = createSecureContext({key, cert});
  let handshakes = 0;
  const server = createServer((raw) => {
    raw.on('error', () => {});
    const socket = new TLSSocket(raw, {isServer: true, secureContext});
    socket.on('error', () => {});
    socket.on('secure', () => {
      handshakes += 1;
      resetSocket(socket, raw);
    });
  });
  const port = await scope.listen(server);
  const visit = async () => {
    for (let round = 0; round < 10; round += 1) {
      const visitor = connect({port, host: '127.0.0.1', ca});
      visitor.on('error', () => {});
      visitor.write('hello');
      await new Promise((resolve) => visitor.once('close', resolve));
    }
  };
  await Promise.all(Array.from({length: 20}, visit));
  expect(handshakes).toBe(200);
});

/** The raw socket below the TLS socket of `tls.createServer`. */
function rawOf(socket: TLSSocket): Socket {
  expect(socket).toBeInstanceOf(TLSSocket);
  return (socket as unknown as {_parent: Socket})._parent;
}
