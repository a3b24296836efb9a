// The amount of ClientHellos that is read in one turn of the event loop.

import {connect, createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {Hello} from '../../../../src/lib/relay/doors/hello.js';
import {type HelloSocket, HelloTurns} from '../../../../src/lib/relay/doors/hello-turns.js';
import {PendingConnections} from '../../../../src/lib/relay/doors/pending.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {test} from '../../../helpers/test.js';

const READS = 16;

/** Stand-ins for sockets: each turn reads all that have bytes and are not stopped. */
function setUp() {
  const soon: (() => void)[] = [];
  const later = (fn: () => void) => void soon.push(fn);
  const after = (_ms: number, fn: () => void) => {
    later(fn);
    return {cancel: () => {}};
  };
  const turns = new HelloTurns({soon: later, after});
  const sockets: Stranger[] = [];
  class Stranger implements HelloSocket {
    place: HelloSocket['place'];
    turn: HelloSocket['turn'];
    stopped = false;
    waiting = 0;

    readonly source: string;
    readonly words: string;

    constructor(source: string, words: string) {
      this.source = source;
      this.words = words;
      sockets.push(this);
      turns.add(this);
    }

    stop(): void {
      this.stopped = true;
    }

    goOn(): void {
      this.stopped = false;
    }
  }
  /** The words of the sockets that are read in one turn. */
  const turn = () => {
    const read: string[] = [];
    for (const socket of sockets) {
      if (socket.stopped || socket.waiting === 0) continue;
      read.push(socket.words);
      const bytes = socket.waiting;
      socket.waiting = 0;
      turns.count(bytes);
    }
    for (const fn of soon.splice(0)) fn();
    return read;
  };
  const come = (count: number, source: string, bytes: number) =>
    Array.from({length: count}, (_, i) => {
      const socket = new Stranger(source, `${source}${i}`);
      socket.waiting = bytes;
      return socket;
    });
  return {turns, come, turn, pending: () => soon.length};
}

test('a thousand sockets that send at the same time are read a few in a turn, each of them once', () => {
  const {come, turn, pending} = setUp();
  come(1_000, 'crowd', 500);
  const read: string[][] = [];
  while (read.flat().length < 1_000 && read.length < 1_000) read.push(turn());
  expect(Math.max(...read.map(({length}) => length))).toBe(READS);
  expect(new Set(read.flat()).size).toBe(1_000);
  turn();
  turn();
  expect(pending()).toBe(0);
});

test('fewer sockets are read in a turn when they send much', () => {
  const {come, turn} = setUp();
  come(100, 'crowd', 60_000);
  const counts = Array.from({length: 10}, () => turn().length);
  // Five of 60 KB are more than a turn reads. The stopped ones are read four in a turn.
  expect(Math.max(...counts)).toBe(5);
  expect(Math.max(...counts.slice(1))).toBe(4);
});

test('a socket of another source does not wait behind a crowd', () => {
  const {come, turn} = setUp();
  come(1_000, 'crowd', 60_000);
  turn();
  come(1, 'good', 500);
  expect([...turn(), ...turn()]).toContain('good0');
});

test('closed sockets are not read again, and a few sockets cost nothing', () => {
  const {turns, come, turn, pending} = setUp();
  const crowd = come(100, 'crowd', 500);
  turn();
  for (const socket of crowd) {
    turns.delete(socket);
  }
  for (let i = 0; i < 30; i++) turn();
  expect([turn(), pending()]).toEqual([[], 0]);
  come(3, 'good', 500);
  expect(turn()).toEqual(['good0', 'good1', 'good2']);
});

test('closed sockets of many sources do not delay those that wait, and nothing of them is kept', () => {
  const {turns, come, turn, pending} = setUp();
  // A socket that comes now is stopped.
  turns.count(1_000_000);
  const gone = Array.from({length: 1_000}, (_, source) => come(1, `source${source}`, 500)).flat();
  come(1, 'good', 500);
  for (const socket of gone) turns.delete(socket);
  expect(gone.filter((socket) => socket.turn !== undefined || socket.place !== undefined)).toEqual([]);
  expect(turn()).toEqual([]);
  expect(turn()).toEqual(['good0']);
  turn();
  turn();
  expect(pending()).toBe(0);
});

test('real sockets: no turn reads more than the limit, and all are answered', async ({scope}) => {
  const clock = new ManualClock();
  const count = 200;
  const pending = new PendingConnections({
    clock,
    events: {emit: () => {}},
    load: {add: () => {}},
    isTrusted: () => true,
    room: {noneForConnections: false, refused: () => {}},
  });
  let inTurn = 0;
  let most = 0;
  let heard = 0;
  const turns = new HelloTurns(systemClock);
  const all = Promise.withResolvers<void>();
  const done = Promise.withResolvers<void>();
  const server = createServer((raw: Socket) => {
    const connection = pending.admit(raw);
    if (connection === undefined) return;
    if (pending.count === count) all.resolve();
    new Hello(connection, turns).read(() => {
      if (inTurn === 0) setImmediate(() => (inTurn = 0));
      inTurn += 1;
      most = Math.max(most, inTurn);
      heard += 1;
      raw.destroy();
      if (heard === count) done.resolve();
    });
  });
  const port = await scope.listen(server);
  const sockets = Array.from({length: count}, () => connect(port, '127.0.0.1'));
  for (const socket of sockets) socket.on('error', () => {});
  await all.promise;
  // All at the same time. The text is no ClientHello, so each socket gets an answer.
  for (const socket of sockets) socket.write('GET / HTTP/1.1\r\n\r\n');
  await done.promise;
  expect([heard, most <= READS]).toEqual([count, true]);
});
