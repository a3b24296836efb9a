// Members with much traffic: their connections move from a stream of the relay to a rendezvous there, and nobody notices.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {expect, onTestFinished, vi} from 'vitest';
import {RendezvousTable} from '../../src/lib/relay/networks/rendezvous.js';
import {type ByRelayHere, membersByRelayHere} from '../helpers/by-relay-here.js';
import {Digest, MiB, sha256Of, source} from '../helpers/bytes.js';
import {eventually} from '../helpers/eventually.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const SIZE = 128 * MiB;

interface Came {
  side: string;
  socket: Socket;
}

/** Who comes to a rendezvous of a relay in this process. */
function arrivals(): Came[] {
  const came: Came[] = [];
  const {enter} = RendezvousTable.prototype;
  const spy = vi.spyOn(RendezvousTable.prototype, 'enter').mockImplementation(function (
    this: RendezvousTable,
    connection,
    head,
    place,
  ) {
    came.push({side: place.side, socket: connection.raw});
    enter.call(this, connection, head, place);
  });
  onTestFinished(() => spy.mockRestore());
  return came;
}

function dial(scope: Scope, {address}: Pick<ByRelayHere, 'address'>): Socket {
  const socket = connect({port: Number(address.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true});
  scope.onEnd(() => void socket.destroy());
  return socket;
}

/** Reads all that a service sends. */
async function digestOf(socket: Socket): Promise<{bytes: number; sha256: string}> {
  const digest = new Digest();
  socket.pipe(digest);
  await once(digest, 'finish');
  return {bytes: digest.bytes, sha256: digest.sha256()};
}

const sends =
  (size = SIZE) =>
  (socket: Socket) => {
    socket.on('error', () => {});
    source(size, 1).pipe(socket);
  };
const whole = (size = SIZE) => ({bytes: size, sha256: sha256Of(size, 1)});

test('a download moves to a rendezvous, and arrives as it was', async ({scope}) => {
  const came = arrivals();
  const members = await membersByRelayHere(scope, {}, sends());
  expect(await digestOf(dial(scope, members))).toEqual(whole());
  expect(came.map(({side}) => side).toSorted()).toEqual(['opener', 'target']);
});

test('an upload does, too, and its end and the answer behind it arrive', async ({scope}) => {
  const came = arrivals();
  const members = await membersByRelayHere(scope, {}, (socket) => {
    socket.on('error', () => {});
    const digest = new Digest();
    socket.pipe(digest).on('finish', () => socket.end(digest.sha256()));
  });
  const socket = dial(scope, members);
  source(SIZE, 2).pipe(socket);
  const [answer] = (await once(socket.setEncoding('utf8'), 'data')) as [string];
  expect(answer).toBe(sha256Of(SIZE, 2));
  expect(came.length).toBe(2);
});

test('little traffic stays on a stream of the relay', async ({scope}) => {
  const came = arrivals();
  const members = await membersByRelayHere(
    scope,
    {},
    (socket) => void socket.on('error', () => {}).pipe(socket),
  );
  const socket = dial(scope, members);
  for (let round = 0; round < 20; round++) {
    socket.write('a few bytes');
    await once(socket, 'data');
  }
  expect(came).toEqual([]);
});

test.for(['opener', 'target'] as const)(
  'the connection of the %s breaks in the middle: nothing is lost, and the stream of the relay goes on',
  async (side, {scope}) => {
    const came = arrivals();
    const members = await membersByRelayHere(scope, {}, sends(4 * SIZE));
    const arriving = digestOf(dial(scope, members));
    const mine = await eventually(() => {
      const found = came.find((each) => each.side === side);
      expect((found?.socket.bytesRead ?? 0) + (found?.socket.bytesWritten ?? 0)).toBeGreaterThan(8 * MiB);
      return found;
    });
    mine?.socket.resetAndDestroy();
    expect(await arriving).toEqual(whole(4 * SIZE));
    expect(came.length).toBe(2);
  },
);

test('somebody on the way to the relay lets no such connection through: the stream of the relay goes on', async ({
  scope,
}) => {
  const came = arrivals();
  let refused = 0;
  const members = await membersByRelayHere(scope, {}, sends(), async (relay) => {
    const port = await scope.listen(
      createServer({allowHalfOpen: true}, (near) => {
        near.on('error', () => {});
        near.once('data', (first: Buffer) => {
          if (first.includes('.rendezvous.')) {
            refused += 1;
            near.resetAndDestroy();
            return;
          }
          const far = connect({port: relay.address.port, host: '127.0.0.1', allowHalfOpen: true});
          far.on('error', () => near.destroy()).on('close', () => near.destroy());
          near.on('close', () => far.destroy());
          far.write(first);
          near.pipe(far).pipe(near);
        });
      }),
    );
    return `https://${relay.domain}:${port}`;
  });
  expect(await digestOf(dial(scope, members))).toEqual(whole());
  expect(came).toEqual([]);
  // Each member once: what fails is not tried again soon.
  expect([1, 2]).toContain(refused);
});
