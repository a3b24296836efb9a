// A splice with a tap behaves like one without a tap. The tap sees each byte once and in order, and cannot disturb the
// splice.

import {once} from 'node:events';
import {connect, createServer, type Server, type Socket} from 'node:net';
import {expect} from 'vitest';
import {resetSocket} from '../../../src/lib/bytes/reset.js';
import {SocketReads} from '../../../src/lib/bytes/socket-reads.js';
import {Splice} from '../../../src/lib/bytes/splice.js';
import {type Tap, TappedSplice} from '../../../src/lib/bytes/tap.js';
import {type Block, BlockPool} from '../../../src/lib/mux/blocks.js';
import {PAYLOAD_AT, type Stream, type StreamSink} from '../../../src/lib/mux/stream.js';
import {portOf, type Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** Copies each piece, because the next read overwrites its memory. */
class Seen implements Tap {
  upText = '';
  downText = '';
  ends = 0;
  first: 'up' | 'down' | undefined;
  up(piece: Uint8Array): void {
    this.upText += Buffer.from(piece).toString();
  }
  down(piece: Uint8Array): void {
    this.downText += Buffer.from(piece).toString();
  }
  end(_code: unknown, first?: 'up' | 'down'): void {
    this.ends += 1;
    this.first = first;
  }
}

class Heard {
  sink: StreamSink | undefined;
  text = '';
  ends = 0;
  linked = true;
  bytesOut = 0;
  heldBytes = 0;
  state = 'open';
  begins = true;
  mayBegin(): boolean {
    return this.begins;
  }
  write(chunk: Buffer): boolean {
    this.text += chunk;
    return true;
  }
  writeBlock(block: Block, length: number): boolean {
    this.text += block.buffer.toString('latin1', PAYLOAD_AT, PAYLOAD_AT + length);
    block.release();
    return true;
  }
  onEnd = (): void => {};
  end(): void {
    this.ends += 1;
    this.state = 'closed';
    this.onEnd();
  }
  reset(): void {}
  resetAfterData(): void {
    this.state = 'closed';
  }
  consumed(): void {}
}

const LONG = 'x'.repeat(300_000);

/** The upstream answers each request with LONG, and ends. */
async function setUp(scope: Scope, reads: 'events' | 'onread', tap: Tap | undefined, other?: Server) {
  const asked = Promise.withResolvers<string>();
  const own = createServer({allowHalfOpen: true}, (socket: Socket) => {
    let text = '';
    socket.on('data', (chunk) => (text += chunk));
    socket.on('end', () => {
      asked.resolve(text);
      socket.end(LONG);
    });
    socket.on('error', () => {});
  });
  const server = other ?? own;
  if (other === undefined) await scope.listen(own);
  const stream = new Heard();
  const over = Promise.withResolvers<string | undefined>();
  const options = {
    stream: stream as unknown as Stream,
    brokenCode: 'UPSTREAM_RESET',
    reset: () => resetSocket(socket),
    onDone: over.resolve,
  } as const;
  const splice = tap === undefined ? new Splice(options) : new TappedSplice(options, tap);
  const onread = new SocketReads(new BlockPool()).for(splice);
  const place = {port: portOf(server), host: '127.0.0.1', allowHalfOpen: true};
  const socket = connect(
    reads === 'events'
      ? place
      : {
          ...place,
          onread: {
            buffer: onread.buffer,
            callback: (bytes, buffer) => onread.callback(bytes, buffer as Buffer),
          },
        },
  );
  await once(socket, 'connect');
  return {
    splice,
    stream,
    socket,
    asked: asked.promise,
    over: over.promise,
    join: () => splice.join(socket, reads),
  };
}

const throws = (): never => {
  throw new Error('a tap that does not understand');
};

test.for([
  ['events', 'no'],
  ['events', 'a'],
  ['events', 'a throwing'],
  ['onread', 'no'],
  ['onread', 'a'],
  ['onread', 'a throwing'],
] as const)('read by %s, with %s tap: the same bytes and ends', async ([reads, kind], {scope}) => {
  const seen = new Seen();
  const tap = {no: undefined, a: seen, 'a throwing': {up: throws, down: throws, end: throws}}[kind];
  const {splice, stream, asked, over, join} = await setUp(scope, reads, tap);
  splice.onData(Buffer.from('early '));
  join();
  splice.onData(Buffer.from('and late'));
  splice.onEnd();
  expect(await asked).toBe('early and late');
  expect(await over).toBeUndefined();
  expect([stream.text === LONG, stream.ends]).toEqual([true, 1]);
  if (kind !== 'a') return;
  expect([seen.upText, seen.downText === LONG, seen.ends]).toEqual(['early and late', true, 1]);
  expect(seen.first).toBe('up');
});

test.for(['events', 'onread'] as const)(
  'read by %s: a tap hears which direction has ended first',
  async (reads, {scope}) => {
    const seen = new Seen();
    const server = createServer({allowHalfOpen: true}, (socket: Socket) => void socket.end('over'));
    await scope.listen(server);
    const {splice, stream, over, join} = await setUp(scope, reads, seen, server);
    join();
    stream.onEnd = () => splice.onEnd();
    await over;
    expect([seen.downText, seen.first]).toEqual(['over', 'down']);
  },
);

test('a tap does not start a socket that must not be read yet', async ({scope}) => {
  const seen = new Seen();
  const {splice, stream, socket, over, join} = await setUp(scope, 'events', seen);
  stream.begins = false;
  join();
  splice.onEnd();
  // The upstream's end has arrived, so the kernel has the answer; nothing of it may have been read.
  expect([socket.isPaused(), seen.downText, stream.text]).toEqual([true, '', '']);
  splice.onWritable();
  expect(await over).toBeUndefined();
  expect([stream.text === LONG, seen.downText === LONG]).toEqual([true, true]);
});

test('a tap also gets an end after a reset', async ({scope}) => {
  const seen = new Seen();
  const {splice, over, join} = await setUp(scope, 'events', seen);
  join();
  splice.cut('TOO_MUCH_UNREAD');
  expect(await over).toBe('TOO_MUCH_UNREAD');
  expect(seen.ends).toBe(1);
});
