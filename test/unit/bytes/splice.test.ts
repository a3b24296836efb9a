// A socket and a stream as one: every end, every break and every byte passes, in both directions.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {expect, vi} from 'vitest';
import {resetSocket} from '../../../src/lib/bytes/reset.js';
import {Splice, type SpliceOptions} from '../../../src/lib/bytes/splice.js';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import type {StreamCode} from '../../../src/lib/protocol/wire.js';
import {eventually} from '../../helpers/eventually.js';
import {portOf, type Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** A stream that records calls. */
class Heard {
  sink: StreamSink | undefined;
  readonly log: string[] = [];
  consumedBytes = 0;
  linked = true;
  bytesOut = 0;
  heldBytes = 0;
  begins = true;
  state = 'open';
  mayBegin(): boolean {
    return this.begins;
  }
  write(chunk: Buffer): boolean {
    this.log.push(`write ${chunk}`);
    return true;
  }
  end(): void {
    this.log.push('end');
    if (this.heldBytes === 0) this.state = 'closed';
  }
  reset(code: string): void {
    this.log.push(`reset ${code}`);
  }
  resetAfterData(code: StreamCode): void {
    this.reset(`${code} after data`);
    if (this.heldBytes === 0) this.sink?.onReset(code);
  }
  consumed(bytes: number): void {
    this.consumedBytes += bytes;
  }
}

async function setUp(scope: Scope, more: Partial<SpliceOptions> = {}) {
  const server = createServer({allowHalfOpen: true});
  await scope.listen(server);
  const peer = connect({port: portOf(server), host: '127.0.0.1', allowHalfOpen: true});
  scope.onEnd(() => void peer.destroy());
  const [socket] = (await once(server, 'connection')) as [Socket];
  const stream = new Heard();
  const over = Promise.withResolvers<string | undefined>();
  const splice = new Splice({
    stream: stream as unknown as Stream,
    brokenCode: 'VISITOR_RESET',
    reset: () => resetSocket(socket),
    onDone: over.resolve,
    ...more,
  });
  return {peer, socket, stream, splice, over: over.promise};
}

test('bytes that came before the socket existed, and the end, go first', async ({scope}) => {
  const {peer, socket, splice, stream, over} = await setUp(scope);
  splice.onData(Buffer.from('early '));
  splice.onData(Buffer.from('bird'));
  splice.onEnd();
  expect(stream.consumedBytes).toBe(0);
  splice.join(socket);
  let heard = '';
  for await (const piece of peer.iterator({destroyOnReturn: false})) heard += String(piece);
  expect(heard).toBe('early bird');
  peer.end('answer');
  expect(await over).toBeUndefined();
  expect(stream.log).toEqual(['write answer', 'end']);
  expect(stream.consumedBytes).toBe(10);
});

test('bytes that a stream passes on when it hears of written ones reach the socket', async ({scope}) => {
  const {peer, socket, splice, stream} = await setUp(scope);
  const piece = (letter: string) => Buffer.alloc(10_000, letter);
  const waiting = ['c', 'd', 'e'];
  stream.consumed = () => {
    const letter = waiting.shift();
    if (letter === undefined) return;
    splice.onData(piece(letter));
    splice.onData(piece(letter));
    if (waiting.length === 0) splice.onEnd();
  };
  splice.join(socket, 'accepted');
  splice.onData(piece('a'));
  splice.onData(piece('b'));
  let heard = '';
  for await (const bytes of peer.iterator({destroyOnReturn: false})) heard += String(bytes);
  expect(heard.replace(/(.)\1*/g, (run, letter) => `${letter}${run.length} `)).toBe(
    'a10000 b10000 c20000 d20000 e20000 ',
  );
});

test('bytes that the kernel takes at once get their credit at once', async ({scope}) => {
  const {socket, splice, stream} = await setUp(scope);
  splice.join(socket, 'accepted');
  splice.onData(Buffer.from('words'));
  expect(stream.consumedBytes).toBe(5);
});

test('an end of the socket is an end of its direction only', async ({scope}) => {
  const {peer, socket, splice, stream} = await setUp(scope);
  splice.join(socket);
  const ended = once(socket, 'end');
  peer.end();
  await ended;
  expect([stream.log, splice.ending]).toEqual([['end'], false]);
  splice.onData(Buffer.from('still here'));
  expect(String((await once(peer, 'data'))[0])).toBe('still here');
});

test('a socket that has ended before anybody listened ends the stream', async ({scope}) => {
  const {peer, socket, splice, stream, over} = await setUp(scope);
  peer.end();
  await eventually(() => expect(socket.readableEnded).toBe(true));
  splice.join(socket, 'accepted');
  expect(stream.log).toEqual(['end']);
  splice.onEnd();
  expect(await over).toBeUndefined();
});

test('a socket that breaks resets the stream, and a reset of the stream breaks the socket', async ({
  scope,
}) => {
  const broken = await setUp(scope);
  broken.splice.join(broken.socket);
  broken.peer.resetAndDestroy();
  expect(await broken.over).toBe('VISITOR_RESET');
  expect(broken.stream.log).toEqual(['reset VISITOR_RESET after data']);
  const reset = await setUp(scope);
  reset.splice.join(reset.socket);
  const error = once(reset.peer, 'error');
  reset.splice.onReset('UPSTREAM_RESET');
  expect(await reset.over).toBe('UPSTREAM_RESET');
  expect((await error)[0]).toMatchObject({code: 'ECONNRESET'});
  expect(reset.stream.log).toEqual([]);
});

test('a stream that was reset before the socket existed resets it when it exists', async ({scope}) => {
  const {peer, socket, splice} = await setUp(scope);
  const error = once(peer, 'error');
  splice.onReset('CANCELLED');
  splice.join(socket);
  expect((await error)[0]).toMatchObject({code: 'ECONNRESET'});
});

test('a splice that waits for its socket says that it keeps bytes of a stream that is over', async ({
  scope,
}) => {
  const {splice, over} = await setUp(scope, {connects: () => true});
  splice.onData(Buffer.from('last words'));
  splice.onReset('VISITOR_RESET');
  expect([splice.ending, splice.done, splice.keepsBytes]).toEqual([true, false, true]);
  splice.onReset('TOO_MUCH_UNREAD');
  expect(await over).toBe('TOO_MUCH_UNREAD');
  expect(splice.keepsBytes).toBe(false);
});

test('bytes for a closed reader count as read', async ({scope}) => {
  const {socket, splice, stream} = await setUp(scope);
  splice.join(socket);
  socket.end();
  splice.onData(Buffer.from('nobody reads this'));
  expect(stream.consumedBytes).toBe(17);
});

test('last bytes that are not taken are dropped after a while, but not while there is no link', async ({
  scope,
}) => {
  vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']});
  scope.onEnd(() => void vi.useRealTimers());
  const {peer, splice, stream, socket, over} = await setUp(scope);
  splice.join(socket);
  stream.heldBytes = 100;
  stream.linked = false;
  const broken = new Promise((resolve) => socket.once('close', resolve));
  peer.resetAndDestroy();
  await broken;
  vi.advanceTimersByTime(60_000);
  expect([splice.ending, stream.log]).toEqual([false, ['reset VISITOR_RESET after data']]);
  stream.linked = true;
  stream.heldBytes = 50;
  vi.advanceTimersByTime(10_000);
  expect(splice.ending).toBe(false);
  vi.advanceTimersByTime(10_000);
  expect(await over).toBe('VISITOR_RESET');
  expect(stream.log.at(-1)).toBe('reset VISITOR_RESET');
  expect(vi.getTimerCount()).toBe(0);
});

test('last bytes for a socket that does not read are dropped after a while, also when the session is over', async ({
  scope,
}) => {
  vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']});
  scope.onEnd(() => void vi.useRealTimers());
  const {splice, stream, socket, over} = await setUp(scope);
  splice.join(socket);
  splice.onData(Buffer.alloc(20_000_000));
  await eventually(() => expect(socket.writableLength).toBeGreaterThan(0));
  stream.linked = false;
  splice.onReset('UPSTREAM_RESET');
  expect([splice.ending, splice.done]).toEqual([true, false]);
  vi.advanceTimersByTime(10_000);
  expect(splice.done).toBe(true);
  expect(await over).toBe('UPSTREAM_RESET');
  expect(vi.getTimerCount()).toBe(0);
});

/** When a byte has gone to the other side and back, earlier bytes have arrived as well. */
async function roundTrip(scope: Scope): Promise<void> {
  const server = createServer((socket) => void socket.pipe(socket));
  await scope.listen(server);
  const socket = connect({port: portOf(server), host: '127.0.0.1'});
  for (let times = 0; times < 5; times += 1) {
    socket.write('x');
    await once(socket, 'data');
  }
  socket.destroy();
}

test('a socket that closes in order is over when its last bytes have left, or do not move', async ({
  scope,
}) => {
  const closed = async () => {
    const made = await setUp(scope);
    const {peer, socket, splice, stream} = made;
    splice.join(socket);
    stream.heldBytes = 3;
    splice.onEnd();
    peer.resume().end();
    await once(socket, 'close');
    expect(splice.done).toBe(false);
    return made;
  };
  const sent = await closed();
  sent.stream.heldBytes = 0;
  sent.splice.onClosed();
  expect(await sent.over).toBeUndefined();

  vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']});
  scope.onEnd(() => void vi.useRealTimers());
  const stuck = await closed();
  vi.advanceTimersByTime(20_000);
  expect(await stuck.over).toBe('VISITOR_RESET');
  expect(stuck.stream.log).toEqual(['end', 'reset VISITOR_RESET']);
});

test('a socket is not read before its stream may write, nor while the stream is held', async ({scope}) => {
  const {peer, socket, splice, stream} = await setUp(scope);
  stream.begins = false;
  splice.join(socket);
  peer.write(Buffer.alloc(300_000, 'a'));
  await roundTrip(scope);
  expect(socket.bytesRead).toBe(0);
  splice.onWritable();
  await once(socket, 'data');
  splice.onHold();
  const before = socket.bytesRead;
  await roundTrip(scope);
  expect(socket.bytesRead).toBe(before);
  const read = new Promise<void>((resolve) => {
    socket.on('data', () => {
      if (socket.bytesRead === 300_000) resolve();
    });
  });
  splice.onWritable();
  await read;
  expect(stream.log.join('').replaceAll('write ', '')).toBe('a'.repeat(300_000));
});

test('a stream that takes no more stops the reads of its socket at once', async ({scope}) => {
  const {peer, socket, splice, stream} = await setUp(scope);
  stream.write = (chunk) => {
    stream.log.push(String(chunk));
    return false;
  };
  splice.join(socket);
  peer.write(Buffer.alloc(1_000_000, 'a'));
  await once(socket, 'data');
  const before = socket.bytesRead;
  await roundTrip(scope);
  expect([socket.bytesRead, stream.log.length]).toEqual([before, 1]);
});

test('an empty write notices that a visitor whose bytes were never read is gone', async ({scope}) => {
  const {peer, socket, splice, stream, over} = await setUp(scope);
  stream.begins = false;
  splice.join(socket);
  peer.write('a request');
  await roundTrip(scope);
  splice.probe();
  await roundTrip(scope);
  expect(splice.done).toBe(false);
  peer.resetAndDestroy();
  await roundTrip(scope);
  splice.probe();
  expect(await over).toBe('VISITOR_RESET');
  expect(stream.log).toEqual(['reset VISITOR_RESET']);
  expect(socket.bytesRead).toBe(0);
});

test('received bytes of a socket are read although a write to it has failed', async ({scope}) => {
  const {peer, splice, socket, stream, over} = await setUp(scope);
  stream.begins = false;
  splice.join(socket);
  peer.write('no more, please');
  await roundTrip(scope);
  peer.resetAndDestroy();
  await roundTrip(scope);
  splice.onData(Buffer.from('still more'));
  await roundTrip(scope);
  expect([splice.done, stream.log]).toEqual([false, []]);
  splice.onWritable();
  expect(await over).toBe('VISITOR_RESET');
  expect(stream.log).toEqual(['write no more, please', 'reset VISITOR_RESET after data']);
});
