// An accepted socket is read into one shared buffer, without events, and stops, continues, ends and breaks as any other.

import {once} from 'node:events';
import {connect, createServer, Socket} from 'node:net';
import {expect} from 'vitest';
import {letGo} from '../../../src/lib/bytes/let-go.js';
import {readAccepted} from '../../../src/lib/bytes/read-accepted.js';
import {readOn, stopReading} from '../../../src/lib/bytes/reading.js';
import {portOf, type Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

interface Reader {
  text(): string;
  /** Resolves when the text is this. */
  said(text: string): Promise<void>;
  read: (bytes: number, buffer: Buffer) => boolean;
}

function reader(goesOn: () => boolean = () => true): Reader {
  let text = '';
  let heard = Promise.withResolvers<void>();
  return {
    text: () => text,
    async said(all) {
      while (text !== all) await heard.promise;
    },
    read(bytes, buffer) {
      text += buffer.toString('latin1', 0, bytes);
      heard.resolve();
      heard = Promise.withResolvers();
      return goesOn();
    },
  };
}

/** `take` gets the socket in the turn in which the server accepts it. */
async function accepted(
  scope: Scope,
  take: (socket: Socket) => void,
): Promise<{peer: Socket; socket: Socket}> {
  const server = createServer({allowHalfOpen: true}, take);
  await scope.listen(server);
  const peer = connect({port: portOf(server), host: '127.0.0.1', allowHalfOpen: true});
  scope.onEnd(() => void peer.destroy());
  const [socket] = (await once(server, 'connection')) as [Socket];
  scope.onEnd(() => void socket.destroy());
  return {peer, socket};
}

test('bytes, then the end of one direction', async ({scope}) => {
  const words = reader();
  let isRead = false;
  const {peer, socket} = await accepted(scope, (fresh) => {
    isRead = readAccepted(fresh, words.read);
  });
  const ended = once(socket, 'end');
  peer.write('first ');
  await words.said('first ');
  peer.end('last');
  await ended;
  expect([isRead, words.text(), socket.readableLength]).toEqual([true, 'first last', 0]);
  socket.write('still here');
  expect(String((await once(peer, 'data'))[0])).toBe('still here');
});

test('two sockets share the buffer, and each gets its own bytes', async ({scope}) => {
  const [one, two] = [reader(), reader()];
  const a = await accepted(scope, (socket) => void readAccepted(socket, one.read));
  const b = await accepted(scope, (socket) => void readAccepted(socket, two.read));
  for (let i = 0; i < 3; i++) {
    a.peer.write('a');
    b.peer.write('b');
  }
  await one.said('aaa');
  await two.said('bbb');
});

test('a reader that returns false gets no more until reading goes on', async ({scope}) => {
  let goesOn = false;
  const words = reader(() => goesOn);
  const {peer, socket} = await accepted(scope, (fresh) => void readAccepted(fresh, words.read));
  peer.write('one ');
  await words.said('one ');
  stopReading(socket);
  peer.write('two');
  const other = await accepted(scope, (fresh) => fresh.resume());
  other.peer.write('other');
  await once(other.socket, 'data');
  expect(words.text()).toBe('one ');
  goesOn = true;
  readOn(socket);
  await words.said('one two');
});

test('a reset of the peer is an error of the socket', async ({scope}) => {
  const words = reader();
  const {peer, socket} = await accepted(scope, (fresh) => void readAccepted(fresh, words.read));
  const broken = once(socket, 'error');
  peer.resetAndDestroy();
  expect((await broken)[0]).toMatchObject({code: 'ECONNRESET'});
});

test('a socket with bytes, with listeners or without a handle is left alone', async ({scope}) => {
  const {peer, socket} = await accepted(scope, () => {});
  peer.write('early');
  await once(socket, 'readable');
  const flowing = await accepted(scope, (fresh) => fresh.on('data', () => {}));
  const words = reader();
  expect([socket, flowing.socket, new Socket()].map((each) => readAccepted(each, words.read))).toEqual([
    false,
    false,
    false,
  ]);
  expect(String(socket.read())).toBe('early');
});

test('a closed socket refers no longer to its reader', async ({scope}) => {
  const words = reader();
  const {socket} = await accepted(scope, (fresh) => void readAccepted(fresh, words.read));
  socket.destroy();
  await once(socket, 'close');
  const refersTo = () =>
    Object.getOwnPropertySymbols(socket).some((key) => (socket as never)[key] === words.read);
  expect(refersTo()).toBe(true);
  letGo(socket);
  expect(refersTo()).toBe(false);
});
