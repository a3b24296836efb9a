// The bytes of a link reach its reader once, in order and unchanged, whatever it does meanwhile.

import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {connect as connectTls, createServer as createTlsServer} from 'node:tls';
import fc from 'fast-check';
import {describe, expect} from 'vitest';
import {LinkReads} from '../../../src/lib/carrier/link-reads.js';
import {SocketCarrier} from '../../../src/lib/carrier/socket-carrier.js';
import {WebSocketCarrier} from '../../../src/lib/carrier/ws-carrier.js';
import {OPCODE} from '../../../src/lib/carrier/ws-frames.js';
import {tlsPair} from '../../helpers/carriers.js';
import {selfSigned} from '../../helpers/certificates.js';
import {portOf, type Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';
import {frame} from '../../helpers/ws-bytes.js';

const ways = ['tcp', 'tls'] as const;
const own = selfSigned(['localhost']);

/** A connected pair; the second one is not read yet. */
async function pair(scope: Scope, way: (typeof ways)[number]): Promise<[Socket, Socket]> {
  if (way === 'tcp') {
    const server = createServer({allowHalfOpen: true});
    await scope.listen(server);
    const link = connect({port: portOf(server), host: '127.0.0.1', allowHalfOpen: true});
    const [peer] = (await once(server, 'connection')) as [Socket];
    scope.onEnd(() => void link.destroy());
    return [peer, link];
  }
  const server = createTlsServer(await own);
  await scope.listen(server);
  const link = connectTls({port: portOf(server), host: '127.0.0.1', rejectUnauthorized: false});
  const [peer] = (await once(server, 'secureConnection')) as [Socket];
  scope.onEnd(() => void link.destroy());
  return [peer, link];
}

/** In one flight, so that TLS passes on all of it in one call and closes the socket. */
function sendThreeAndEnd(peer: Socket, piece: Buffer): void {
  peer.cork();
  for (let n = 0; n < 3; n += 1) peer.write(piece);
  peer.uncork();
  peer.end();
}

/** Continues after each pause. */
async function untilClosed(link: Socket, reads: {resume(): void}): Promise<void> {
  while (!link.closed) {
    await new Promise(setImmediate);
    reads.resume();
  }
}

describe.each(ways)('over %s', (way) => {
  test('bytes come unchanged through any pauses, and then the end', async ({scope}) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({min: 1, max: 100_000}), {minLength: 1, maxLength: 12}),
        fc.array(fc.boolean(), {minLength: 1, maxLength: 8}),
        async (sizes, pauses) => {
          const [peer, link] = await pair(scope, way);
          const sent = sizes.map((size) => randomBytes(size));
          const kept: Buffer[] = [];
          const ended = Promise.withResolvers<void>();
          let isPaused = false;
          let turn = 0;
          const reads = new LinkReads(link, {
            onBytes(bytes) {
              expect(isPaused).toBe(false);
              kept.push(bytes);
              turn += 1;
              if (pauses[turn % pauses.length] !== true) return;
              isPaused = true;
              reads.pause();
              setImmediate(() => {
                isPaused = false;
                reads.resume();
              });
            },
            onEnd: () => ended.resolve(),
          });
          reads.start();
          for (const bytes of sent) peer.write(bytes);
          peer.end();
          await ended.promise;
          // What is kept has not changed while later bytes were read.
          expect(Buffer.concat(kept).equals(Buffer.concat(sent))).toBe(true);
          reads.stop();
          link.destroy();
          if (!link.closed) await once(link, 'close');
        },
      ),
      {numRuns: 25},
    );
  });

  test('a reader that resumes while it takes bytes gets the next ones after these', async ({scope}) => {
    const [peer, link] = await pair(scope, way);
    const log: string[] = [];
    const ended = Promise.withResolvers<void>();
    const reads = new LinkReads(link, {
      onBytes(bytes) {
        log.push('begins');
        reads.pause();
        reads.resume();
        log.push(`takes ${bytes.length > 0}`);
      },
      onEnd: () => ended.resolve(),
    });
    reads.start();
    peer.end(Buffer.alloc(300_000));
    await ended.promise;
    expect(log.length).toBeGreaterThan(2);
    expect(log.filter((_, n) => n % 2 === 0).every((word) => word === 'begins')).toBe(true);
    reads.stop();
  });

  test('what is held when the socket closes goes to a reader that has paused', async ({scope}) => {
    const [peer, link] = await pair(scope, way);
    let [bytes, ends] = [0, 0];
    const reads = new LinkReads(link, {
      onBytes({length}) {
        bytes += length;
        reads.pause();
      },
      onEnd() {
        ends += 1;
        link.destroy();
      },
    });
    sendThreeAndEnd(peer, Buffer.alloc(16_384));
    await once(link, 'readable');
    reads.start();
    await untilClosed(link, reads);
    reads.passLast();
    expect([bytes, ends]).toEqual([3 * 16_384, 1]);
    reads.stop();
  });

  test('a read of few bytes keeps no more memory than they need', async ({scope}) => {
    const [peer, link] = await pair(scope, way);
    const got = Promise.withResolvers<Buffer>();
    const reads = new LinkReads(link, {onBytes: got.resolve, onEnd: () => {}});
    reads.start();
    peer.write('words');
    const bytes = await got.promise;
    expect(bytes.toString()).toBe('words');
    expect(bytes.buffer.byteLength).toBe(5);
    reads.stop();
  });

  test('bytes that the stream has read before come first', async ({scope}) => {
    const [peer, link] = await pair(scope, way);
    peer.write('early ');
    await once(link, 'readable');
    const heard: string[] = [];
    const ended = Promise.withResolvers<void>();
    const reads = new LinkReads(link, {onBytes: (bytes) => heard.push(String(bytes)), onEnd: ended.resolve});
    reads.start();
    peer.end('late');
    await ended.promise;
    expect(heard.join('')).toBe('early late');
    reads.stop();
  });
});

test.for([
  ['a socket', (socket: Socket) => new SocketCarrier({socket}), (payload: Buffer) => payload],
  [
    'a WebSocket',
    (socket: Socket) => new WebSocketCarrier({socket, role: 'agent'}),
    (payload: Buffer) => frame({opcode: OPCODE.binary, payload}),
  ],
] as const)(
  '%s passes on all that came before its end, also in a pause',
  async ([, carry, wrap], {scope}) => {
    const {agent, relay} = await tlsPair(scope);
    sendThreeAndEnd(relay, wrap(Buffer.alloc(16_000)));
    await once(agent, 'readable');
    const carrier = carry(agent);
    let bytes = 0;
    const over = Promise.withResolvers<unknown>();
    carrier.start({
      onData({length}) {
        bytes += length;
        carrier.pause();
      },
      onDrain: () => {},
      onClose: over.resolve,
    });
    await untilClosed(agent, carrier);
    await over.promise;
    expect(bytes).toBe(48_000);
  },
);
