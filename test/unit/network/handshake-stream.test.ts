// The way of two members through a relay: TLS first, then records of their own, on the same stream. Older members stay in TLS.

import fc from 'fast-check';
import {describe, expect} from 'vitest';
import {StreamDuplex} from '../../../src/lib/bytes/stream-duplex.js';
import {EncryptedCarrier, RECORD_BYTE} from '../../../src/lib/carrier/encrypted-carrier.js';
import {openLocalSession} from '../../../src/lib/carrier/local-session.js';
import {SocketCarrier} from '../../../src/lib/carrier/socket-carrier.js';
import {systemClock} from '../../../src/lib/core/clock.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import type {Carrier} from '../../../src/lib/mux/carrier.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {HandshakeStream, TlsRecords} from '../../../src/lib/network/handshake-stream.js';
import {readJsonLine, writeLine} from '../../../src/lib/network/line-of.js';
import {ephemeralMemberKey} from '../../../src/lib/network/member-key.js';
import {secureMember} from '../../../src/lib/network/member-tls.js';
import {KIND} from '../../../src/lib/protocol/wire.js';
import {socketPair} from '../../helpers/init.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const shared = {clock: systemClock, pool: new BlockPool()};

/** The two ends of one stream. */
async function streams(scope: Scope): Promise<{near: Stream; far: Stream}> {
  const [one, other] = await socketPair(scope);
  const offered = Promise.withResolvers<Stream>();
  const quiet = {onControl: () => {}, onEnded: () => {}};
  const dialler = openLocalSession({socket: one, role: 'agent', sink: {...quiet, onOpen: () => {}}});
  const acceptor = openLocalSession({
    socket: other,
    role: 'relay',
    sink: {...quiet, onOpen: (stream) => offered.resolve(stream)},
  });
  scope.onEnd(() => {
    dialler.close();
    acceptor.close();
  });
  const near = dialler.open(KIND.member, {}) as Stream;
  return {near, far: await offered.promise};
}

type Kind = new (stream: Stream) => StreamDuplex;

/** Both members, after their keys are checked. */
async function members(scope: Scope, Near: Kind, Far: Kind) {
  const {near, far} = await streams(scope);
  const dials = new Near(near);
  const takes = new Far(far);
  far.accept();
  const key = ephemeralMemberKey();
  const accepts = () => true;
  const [dialler, acceptor] = await Promise.all([
    secureMember(dials, {key, isAcceptor: false, accepts}),
    secureMember(takes, {key, isAcceptor: true, accepts}),
  ]);
  for (const {socket} of [dialler, acceptor]) socket.on('error', () => {});
  return {dialler, acceptor, near, far};
}

/** The first lines, as both sides say them. The first bytes of the acceptor's carrier are under way with its line. */
async function begin({dialler, acceptor}: Awaited<ReturnType<typeof members>>, first: Buffer) {
  const heard = readJsonLine(acceptor.socket, 5_000);
  dialler.socket.write('{"hello":1}\n');
  await heard;
  const answer = readJsonLine(dialler.socket, 5_000);
  await writeLine(acceptor.socket, {answer: 1}, 5_000);
  const there = acceptor.begin(shared);
  there.write(first, 0, first.length);
  await answer;
  return {here: dialler.begin(shared), there};
}

/** Resolves with these many bytes. */
function read(carrier: Carrier, bytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = [];
    carrier.start({
      onData: (piece) => {
        pieces.push(Buffer.from(piece));
        const all = Buffer.concat(pieces);
        if (all.length >= bytes) resolve(all);
      },
      onDrain: () => {},
      onClose: () => {},
    });
  });
}

describe('two members through a relay', () => {
  test.for<[string, Kind, Kind, new (...words: never[]) => Carrier]>([
    ['that know records', HandshakeStream, HandshakeStream, EncryptedCarrier],
    ['of which the one that dials is older', StreamDuplex, HandshakeStream, SocketCarrier],
    ['of which the other one is older', HandshakeStream, StreamDuplex, SocketCarrier],
  ])('%s understand each other', async ([, Near, Far, kind], {scope}) => {
    const first = Buffer.alloc(100_000, 'first');
    const {here, there} = await begin(await members(scope, Near, Far), first);
    expect([here, there].every((carrier) => carrier instanceof kind)).toBe(true);
    expect((await read(here, first.length)).equals(first)).toBe(true);
    const back = Buffer.alloc(300_000, 'back');
    const gets = read(there, back.length);
    here.write(back, 0, back.length);
    expect((await gets).equals(back)).toBe(true);
  });

  test('one that says more in TLS than its line gets no session', async ({scope}) => {
    const {dialler, acceptor} = await members(scope, HandshakeStream, HandshakeStream);
    const heard = readJsonLine(acceptor.socket, 5_000);
    dialler.socket.write('{"hello":1}\nmore');
    await heard;
    expect(() => acceptor.begin(shared)).toThrow(expect.objectContaining({code: 'PROTOCOL'}));
  });

  test('a stream that is reset in between has no carrier', async ({scope}) => {
    const {dialler, acceptor, near} = await members(scope, HandshakeStream, HandshakeStream);
    const gone = new Promise((resolve) => dialler.socket.once('close', resolve));
    acceptor.socket.destroy();
    await gone;
    expect(near.state).toBe('closed');
    expect(() => dialler.begin(shared)).toThrow(expect.objectContaining({code: 'MEMBER_UNREACHABLE'}));
  });
});

test('the records of TLS end where they end, however they are cut', () => {
  const record = fc.tuple(fc.constantFrom(20, 21, 22, 23), fc.uint8Array({maxLength: 700}));
  const property = fc.property(fc.array(record, {maxLength: 6}), fc.array(fc.nat()), (records, cuts) => {
    const tls = Buffer.concat(
      records.map(([type, bytes]) =>
        Buffer.concat([Buffer.from([type, 3, 3, bytes.length >> 8, bytes.length & 0xff]), bytes]),
      ),
    );
    const wire = Buffer.concat([tls, Buffer.from([RECORD_BYTE, 22, 3, 3])]);
    const places = [...new Set(cuts.map((cut) => cut % (wire.length + 1)))].sort((a, b) => a - b);
    const reader = new TlsRecords();
    let from = 0;
    let own = 0;
    for (const to of [...places, wire.length]) {
      const piece = wire.subarray(from, to);
      from = to;
      const measured = reader.measure(piece);
      own += measured;
      if (measured < piece.length) break;
    }
    expect(own).toBe(tls.length);
  });
  fc.assert(property, {numRuns: 200});
});
