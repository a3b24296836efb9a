// Two spliced sockets with two sessions between them: whatever fails, the bytes that a socket sent before it broke arrive.

import {Duplex} from 'node:stream';
import fc from 'fast-check';
import {expect, test} from 'vitest';
import {Splice} from '../../../src/lib/bytes/splice.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {KIND, type StreamCode} from '../../../src/lib/protocol/wire.js';
import {Peers} from '../../mux/peers.js';

interface Script {
  /** The sizes that the peer of this socket sends, and whether its connection then ends or fails. */
  says: number[];
  ends: 'end' | 'reset';
  /** The number of the write that fails, with all later ones. */
  failsAt: number;
  code: 'EPIPE' | 'ECONNRESET' | 'ETIMEDOUT';
  /** Turns that a write takes, and turns between two pieces. */
  slow: number;
}

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
};

const failure = (code: string) => Object.assign(new Error(code), {code, syscall: 'write'});

class FakeSocket extends Duplex {
  readonly script: Script;
  readonly taken: Buffer[] = [];
  #left: number[];
  #writes = 0;

  constructor(script: Script) {
    super({allowHalfOpen: true});
    this.script = script;
    this.#left = [...script.says];
  }

  override _read(): void {
    void turns(this.script.slow).then(() => {
      const bytes = this.#left.shift();
      if (this.destroyed) return;
      if (bytes !== undefined) this.push(Buffer.alloc(bytes, this.#left.length));
      else if (this.script.ends === 'end') this.push(null);
      else this.destroy(failure('ECONNRESET'));
    });
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#take(chunk, done);
  }

  override _writev(chunks: {chunk: Buffer}[], done: (error?: Error | null) => void): void {
    this.#take(Buffer.concat(chunks.map((each) => each.chunk)), done);
  }

  #take(chunk: Buffer, done: (error?: Error) => void): void {
    const fails = this.#writes >= this.script.failsAt;
    this.#writes += 1;
    if (!fails) this.taken.push(Buffer.from(chunk));
    const error = fails ? failure(this.script.code) : undefined;
    // Like a kernel that takes a write at once, or later.
    if (this.script.slow === 0) done(error);
    else void turns(this.script.slow).then(() => done(error));
  }

  get said(): Buffer {
    const {says} = this.script;
    return Buffer.concat(says.map((bytes, i) => Buffer.alloc(bytes, says.length - 1 - i)));
  }
}

function join(stream: Stream, script: Script, brokenCode: StreamCode) {
  const socket = new FakeSocket(script);
  const over = Promise.withResolvers<StreamCode | undefined>();
  const splice = new Splice({
    stream,
    brokenCode,
    reset: () => void socket.destroy(),
    onDone: over.resolve,
  });
  splice.join(socket as never);
  return {socket, stream, over: over.promise};
}

const size = fc.oneof(fc.integer({min: 1, max: 200}), fc.integer({min: 1, max: 200_000}));
const script = (failsAt: fc.Arbitrary<number>): fc.Arbitrary<Script> =>
  fc.record({
    says: fc.array(size, {maxLength: 6}),
    ends: fc.constantFrom('end', 'reset'),
    failsAt,
    code: fc.constantFrom('EPIPE', 'ECONNRESET', 'ETIMEDOUT'),
    slow: fc.integer({min: 0, max: 3}),
  });

/** Its peer receives everything and sends something, without a failure. */
const listener = script(fc.constant(Number.POSITIVE_INFINITY)).map(
  (each) => ({...each, ends: 'end'}) as const,
);

test('bytes that a socket sent before it broke are delivered before the other side is reset', async () => {
  const property = fc.asyncProperty(
    script(fc.integer({min: 0, max: 6})),
    listener,
    fc.boolean(),
    async (broken, hearing, upstreamBreaks) => {
      const [atVisitor, atUpstream] = upstreamBreaks ? [hearing, broken] : [broken, hearing];
      const offered = Promise.withResolvers<ReturnType<typeof join>>();
      const peers = new Peers({
        onOpen: (_side, stream) => {
          stream.accept();
          offered.resolve(join(stream, atUpstream, 'UPSTREAM_RESET'));
        },
      });
      const [agent, relay] = createPipe();
      await peers.connect({agent, relay});
      const stream = peers.session('relay').open(KIND.visitor, {}) as Stream;
      const visitor = join(stream, atVisitor, 'VISITOR_RESET');
      const upstream = await offered.promise;
      await Promise.all([visitor.over, upstream.over]);
      const [said, heard] = upstreamBreaks ? [upstream, visitor] : [visitor, upstream];
      expect(Buffer.concat(heard.socket.taken).equals(said.socket.said)).toBe(true);
      expect([visitor, upstream].map(({socket}) => socket.destroyed)).toEqual([true, true]);
      expect([visitor, upstream].map((each) => each.stream.state)).toEqual(['closed', 'closed']);
    },
  );
  await fc.assert(property, {numRuns: 300});
});
