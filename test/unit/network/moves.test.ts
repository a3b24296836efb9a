// A session of two members that moves to another path: answers that are late or missing, and paths that are worse.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {expect} from 'vitest';
import {UnreadLimit} from '../../../src/lib/bytes/unread-limit.js';
import {systemClock} from '../../../src/lib/core/clock.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import {WindowBudget} from '../../../src/lib/mux/window-budget.js';
import {openedConnection} from '../../../src/lib/network/connections.js';
import {IncomingPeers} from '../../../src/lib/network/incoming-peers.js';
import {ephemeralMemberKey} from '../../../src/lib/network/member-key.js';
import {secureMember} from '../../../src/lib/network/member-tls.js';
import {OutgoingPeer} from '../../../src/lib/network/outgoing-peer.js';
import type {Paths, Way} from '../../../src/lib/network/paths.js';
import type {PeerPath} from '../../../src/lib/network/peer-session.js';
import type {Peer} from '../../../src/lib/network/roster.js';
import {MiB} from '../../helpers/bytes.js';
import {eventually} from '../../helpers/eventually.js';
import {FaultProxy} from '../../helpers/fault-proxy.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const log = createLogger('test', undefined);
const shared = (scope: Scope) => {
  const unread = new UnreadLimit({limitBytes: 2 ** 30, clock: systemClock, log});
  scope.onEnd(() => unread.close());
  return {clock: systemClock, pool: new BlockPool(), windows: new WindowBudget(2 ** 26), unread};
};

/** A member that echoes, another one with a connection to it, and ways between both. */
async function members(scope: Scope) {
  const key = ephemeralMemberKey();
  const worker = {name: 'worker', address: 'fdaa::2'};
  const echo = await scope.listen(
    createServer({allowHalfOpen: true}, (socket) => void socket.on('error', () => {}).pipe(socket)),
  );
  const incoming = new IncomingPeers({
    ...{shared: shared(scope), key, log, address: () => 'fdaa::1'},
    memberOf: async () => worker,
    current: () => worker,
    accept: async (): Promise<Duplex> => {
      const socket = connect({port: echo, host: '127.0.0.1', allowHalfOpen: true});
      await once(socket, 'connect');
      return socket;
    },
  });
  scope.onEnd(() => incoming.close());
  const door = await scope.listen(
    createServer({allowHalfOpen: true}, (socket) => void incoming.take(socket, 'direct')),
  );
  /** Its bytes go through a proxy of its own. */
  const way = async (path: PeerPath): Promise<{way: Way; proxy: FaultProxy; socket: Socket}> => {
    const proxy = await FaultProxy.start(scope, {target: {port: door}});
    const socket = connect({port: proxy.port, host: '127.0.0.1'});
    scope.onEnd(() => void socket.destroy());
    await once(socket, 'connect');
    const secured = await secureMember(socket, {key, isAcceptor: false, accepts: () => true});
    return {way: {path, ...secured}, proxy, socket};
  };
  const lost: [PeerPath, number][] = [];
  const dialled: Way[] = [];
  /** The paths with much traffic for which a rendezvous was considered. */
  const asked: PeerPath[] = [];
  let later: (way: Way) => void = () => {};
  const paths = {
    dial: async (_peer: Peer, {onLater}: {onLater: (way: Way) => void}) => {
      later = onLater;
      const next = dialled.shift();
      if (next === undefined) throw new Error('no way is left');
      return next;
    },
    hasBetter: () => false,
    mayMeet: (_peer: Peer, path: PeerPath) => {
      asked.push(path);
      return false;
    },
    lost: (_peer: Peer, path: PeerPath, livedMs: number) => void lost.push([path, livedMs]),
  };
  const outgoing = new OutgoingPeer({
    shared: shared(scope),
    paths: paths as unknown as Paths,
    peer: () => ({address: 'fdaa::1'}) as Peer,
    onChange: () => {},
  });
  scope.onEnd(() => outgoing.close());
  const open = async () => {
    const connection = await outgoing.open(
      {port: 80},
      undefined,
      async (stream) => await openedConnection(stream),
    );
    connection.on('error', () => {});
    return connection;
  };
  return {way, dialled, lost, asked, outgoing, open, later: (next: Way) => later(next)};
}

async function says(connection: Duplex, word: string): Promise<void> {
  const answer = once(connection, 'data');
  connection.write(word);
  expect(String((await answer)[0])).toBe(word);
}

test('the answer on a path comes when another one has been taken: the session goes on over that one', async ({
  scope,
}) => {
  const {way, dialled, open, outgoing, later} = await members(scope);
  const [first, late, again] = [await way('relay'), await way('relay-tcp'), await way('relay')];
  dialled.push(first.way, again.way);
  const connection = await open();
  await says(connection, 'a');
  late.proxy.blackhole('hold', 'down');
  later(late.way);
  // The other member has left the first path for the late one, and the dial has brought another one.
  await eventually(() => expect([dialled.length, outgoing.path]).toEqual([0, 'relay']));
  for (const word of ['b', 'c', 'd']) await says(connection, word);
  const over = once(late.socket, 'close');
  late.proxy.restore();
  await over;
  await says(connection, 'e');
  expect([outgoing.path, connection.destroyed]).toEqual(['relay', false]);
});

test('a path on which nobody answers counts as lost at once, and is given up after 3 s', async ({scope}) => {
  const {way, dialled, open, later, lost} = await members(scope);
  const [first, silent] = [await way('relay'), await way('relay-tcp')];
  dialled.push(first.way);
  const connection = await open();
  silent.proxy.blackhole('hold', 'up');
  later(silent.way);
  await once(silent.socket, 'close');
  await eventually(() => expect(lost).toEqual([['relay-tcp', 0]]));
  await says(connection, 'a');
});

test('a path that is not better is not taken', async ({scope}) => {
  const {way, dialled, open, later, outgoing} = await members(scope);
  const [direct, met] = [await way('direct'), await way('relay-tcp')];
  dialled.push(direct.way);
  const connection = await open();
  later(met.way);
  await once(met.socket, 'close');
  expect(outgoing.path).toBe('direct');
  await says(connection, 'a');
});

test('a path that was left for a better one was not lost; one that breaks was', async ({scope}) => {
  const {way, dialled, open, later, lost, outgoing} = await members(scope);
  const [met, direct, again] = [await way('relay-tcp'), await way('direct'), await way('relay')];
  dialled.push(met.way, again.way);
  const connection = await open();
  direct.proxy.setDelay('down', 100);
  later(direct.way);
  await eventually(() => expect(outgoing.path).toBe('direct'));
  expect(lost).toEqual([]);
  direct.proxy.reset();
  await eventually(() => expect(outgoing.path).toBe('relay'));
  expect(lost).toEqual([['direct', expect.any(Number)]]);
  await says(connection, 'a');
});

test('much traffic asks for a rendezvous on the path of the relay alone, also after a better path was lost', async ({
  scope,
}) => {
  const {way, dialled, open, asked, outgoing} = await members(scope);
  const [direct, again] = [await way('direct'), await way('relay')];
  dialled.push(direct.way, again.way);
  const connection = await open();
  connection.resume();
  const bytes = Buffer.alloc(256 * 1024);
  const timer = setInterval(() => connection.writableLength < 8 * MiB && connection.write(bytes), 5);
  scope.onEnd(() => clearInterval(timer));
  const moved = () => direct.proxy.counters.up;
  await eventually(() => expect(moved()).toBeGreaterThan(64 * MiB));
  expect([outgoing.path, asked]).toEqual(['direct', []]);
  direct.proxy.reset();
  await eventually(() => expect(asked[0]).toBe('relay'));
});
