import {once} from 'node:events';
import type {Socket} from 'node:net';
import {buffer} from 'node:stream/consumers';
import {pipeline} from 'node:stream/promises';
import {describe, expect} from 'vitest';
import {Splice} from '../../../src/lib/bytes/splice.js';
import {StreamDuplex, type StreamDuplexOptions} from '../../../src/lib/bytes/stream-duplex.js';
import {openLocalSession} from '../../../src/lib/carrier/local-session.js';
import type {Session} from '../../../src/lib/mux/session.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {KIND, LIMITS} from '../../../src/lib/protocol/wire.js';
import {Digest, MiB, sha256Of, source} from '../../helpers/bytes.js';
import {socketPair, textOf} from '../../helpers/init.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

async function closed(duplex: StreamDuplex): Promise<void> {
  if (!duplex.closed) await new Promise((resolve) => duplex.once('close', resolve));
}

/** Two sessions that are joined, and pairs of streams in them. */
async function sessions(scope: Scope) {
  const [near, far] = await socketPair(scope);
  const offered: ((stream: Stream) => void)[] = [];
  const make = (socket: Socket, role: 'agent' | 'relay'): Session =>
    openLocalSession({
      socket,
      role,
      sink: {onOpen: (stream) => offered.shift()?.(stream), onControl: () => {}, onEnded: () => {}},
    });
  const here = make(near, 'relay');
  const there = make(far, 'agent');
  scope.onEnd(() => {
    here.close();
    there.close();
  });
  const open = async (): Promise<[Stream, Stream]> => {
    const taken = new Promise<Stream>((resolve) => offered.push(resolve));
    const mine = here.open(KIND.service, {}) as Stream;
    const its = await taken;
    its.accept();
    return [mine, its];
  };
  return {here, there, open};
}

async function pair(scope: Scope, options: StreamDuplexOptions = {}) {
  const {open, ...both} = await sessions(scope);
  const [mine, its] = await open();
  return {...both, mine: new StreamDuplex(mine, options), its: new StreamDuplex(its)};
}

describe('a stream as a Duplex', () => {
  test('carries bulk in both directions at once', async ({scope}) => {
    const {mine, its} = await pair(scope);
    const [up, down] = [new Digest(), new Digest()];
    await Promise.all([
      pipeline(source(8 * MiB, 1), mine),
      pipeline(source(8 * MiB, 2), its),
      pipeline(its, up),
      pipeline(mine, down),
    ]);
    expect([up.sha256(), down.sha256()]).toEqual([sha256Of(8 * MiB, 1), sha256Of(8 * MiB, 2)]);
  });

  test('each direction ends for itself', async ({scope}) => {
    const {mine, its} = await pair(scope);
    mine.end('question');
    expect(await textOf(its)).toBe('question');
    await turn();
    its.write('ans');
    its.end('wer');
    expect(await textOf(mine)).toBe('answer');
    await Promise.all([closed(mine), closed(its)]);
    expect(mine.stream.state).toBe('closed');
  });

  test('holds no more than a window for a reader that does not read', async ({scope}) => {
    const {mine, its} = await pair(scope);
    const writing = pipeline(source(4 * MiB), mine);
    while (its.readableLength < LIMITS.initialWindow) await turn();
    for (let i = 0; i < 20; i += 1) await turn();
    expect(its.readableLength).toBe(LIMITS.initialWindow);
    const digest = new Digest();
    await Promise.all([writing, pipeline(its, digest)]);
    expect(digest.sha256()).toBe(sha256Of(4 * MiB));
  });

  test.for([
    ['read by for await', async (duplex: StreamDuplex) => (await buffer(duplex)).length],
    [
      'read by readable events',
      async (duplex: StreamDuplex) => {
        let bytes = 0;
        duplex.on('readable', () => {
          for (let piece = duplex.read(10_000); piece !== null; piece = duplex.read(10_000))
            bytes += piece.length;
          for (let piece = duplex.read(); piece !== null; piece = duplex.read()) bytes += piece.length;
        });
        await once(duplex, 'end');
        return bytes;
      },
    ],
    [
      'paused and resumed',
      async (duplex: StreamDuplex) => {
        let bytes = 0;
        duplex.on('data', (piece: Buffer) => {
          bytes += piece.length;
          duplex.pause();
          setImmediate(() => duplex.resume());
        });
        await once(duplex, 'end');
        return bytes;
      },
    ],
  ] satisfies [string, (duplex: StreamDuplex) => Promise<number>][])(
    'gives all its credit back, %s',
    async ([, read], {scope}) => {
      const {mine, its} = await pair(scope);
      const written = pipeline(source(2 * MiB), mine, {end: true});
      const bytes = await read(its);
      await written;
      expect(bytes).toBe(2 * MiB);
      expect(its.stream.unreadBytes).toBe(0);
    },
  );

  test('destroy resets the peer, and a reset is an error', async ({scope}) => {
    const {mine, its} = await pair(scope);
    mine.destroy();
    await expect(textOf(its)).rejects.toMatchObject({code: 'ECONNRESET'});
    expect(its.destroyed).toBe(true);
  });

  test('an error that nobody listens to harms nobody', async ({scope}) => {
    const {mine, its} = await pair(scope);
    mine.destroy(new Error('mine'));
    await closed(its);
    expect(its.errored).toMatchObject({code: 'ECONNRESET'});
  });

  test('a refusal is an error with its code and message', async ({scope}) => {
    const {here} = await sessions(scope);
    const refused = new StreamDuplex(here.open(KIND.visitor, {}) as Stream, {
      toError: (code, message) => new Error(`${code} ${message}`),
    });
    here.close();
    await closed(refused);
    expect(refused.errored?.message).toBe('SESSION_ENDED undefined');
  });

  test('a write that waits ends with the session', async ({scope}) => {
    const {here, mine} = await pair(scope);
    const writing = pipeline(source(4 * MiB), mine);
    writing.catch(() => {});
    while (mine.stream.heldBytes === 0 && mine.writableLength === 0) await turn();
    here.close();
    await expect(writing).rejects.toMatchObject({code: 'ECONNRESET'});
  });

  test('a splice takes it in the place of a socket', async ({scope}) => {
    const {here, there, open} = await sessions(scope);
    expect(here.ended || there.ended).toBe(false);
    // visitor ⇄ (stream) ⇄ splice ⇄ Duplex of another stream ⇄ service
    const [visitorEnd, splicedEnd] = await open();
    const [dialled, serviceEnd] = await open();
    const visitor = new StreamDuplex(visitorEnd);
    const service = new StreamDuplex(serviceEnd);
    const duplex = new StreamDuplex(dialled);
    const done = new Promise<string | undefined>((resolve) => {
      const splice = new Splice({
        stream: splicedEnd,
        brokenCode: 'UPSTREAM_RESET',
        reset: () => duplex.destroy(),
        onDone: resolve,
      });
      splice.join(duplex as unknown as Socket);
    });
    const [up, down] = [new Digest(), new Digest()];
    await Promise.all([
      pipeline(source(8 * MiB, 1), visitor),
      pipeline(source(8 * MiB, 2), service),
      pipeline(service, up),
      pipeline(visitor, down),
    ]);
    expect([up.sha256(), down.sha256()]).toEqual([sha256Of(8 * MiB, 1), sha256Of(8 * MiB, 2)]);
    expect(await done).toBeUndefined();
  });

  test('a splice passes a reset on to it, and from it', async ({scope}) => {
    const {open} = await sessions(scope);
    const spliced = async () => {
      const [visitorEnd, splicedEnd] = await open();
      const [dialled, serviceEnd] = await open();
      const duplex = new StreamDuplex(dialled);
      new Splice({
        stream: splicedEnd,
        brokenCode: 'UPSTREAM_RESET',
        reset: () => duplex.destroy(),
        onDone: () => {},
      }).join(duplex as unknown as Socket);
      return {visitor: new StreamDuplex(visitorEnd), service: new StreamDuplex(serviceEnd)};
    };
    const first = await spliced();
    first.visitor.destroy();
    await closed(first.service);
    expect(first.service.errored).not.toBeNull();
    const second = await spliced();
    second.service.destroy();
    await closed(second.visitor);
    expect(second.visitor.errored).not.toBeNull();
  });
});
