// A relay that changes bytes between two members: the whole way from socket to socket. No wrong byte arrives; a change now and
// then costs a link and nothing else, and a relay that changes everything ends the connection with an error.

import {connect, type Socket} from 'node:net';
import {afterEach, expect, vi} from 'vitest';
import {StreamJoin} from '../../src/lib/bytes/stream-join.js';
import type {Stream} from '../../src/lib/mux/stream.js';
import {membersByRelayHere} from '../helpers/by-relay-here.js';
import {Digest, pieces, sha256Of, source} from '../helpers/bytes.js';
import {test} from '../helpers/test.js';

const SIZE = 4 * 2 ** 20;

afterEach(() => void vi.restoreAllMocks());

type Change = (piece: Buffer) => Buffer;

/** The relay in this process passes the bytes of members through `up` and `down`. */
function changing({up, down}: {up: Change; down: Change}): void {
  const {connect: join} = StreamJoin.prototype;
  vi.spyOn(StreamJoin.prototype, 'connect').mockImplementation(function (
    this: StreamJoin,
    to: Stream,
    rates,
  ) {
    const write = to.write.bind(to);
    to.write = (piece, ...more) => write(up(piece), ...more);
    join.call(this, to, rates);
    const {sink} = to;
    if (sink === undefined) throw new Error('the join has no sink');
    const onData = sink.onData.bind(sink);
    sink.onData = (piece) => onData(down(piece));
  });
}

/** Flips one bit after so many bytes, and again after as many. */
function flipEvery(bytes: number): {change: Change; flips: () => number} {
  let passed = 0;
  let flips = 0;
  const change: Change = (piece) => {
    passed += piece.length;
    if (passed < bytes * (flips + 1)) return piece;
    flips += 1;
    const changed = Buffer.from(piece);
    changed.writeUInt8(changed.readUInt8(changed.length >> 1) ^ 1, changed.length >> 1);
    return changed;
  };
  return {change, flips: () => flips};
}

/** Changes every piece, once so many bytes have passed. */
function flipAllAfter(bytes: number): Change {
  const {change} = flipEvery(1);
  let passed = 0;
  return (piece) => {
    passed += piece.length;
    return passed < bytes ? piece : change(piece);
  };
}

/** What a socket got until its end: the bytes, and the code of the error, if any. */
async function received(socket: Socket): Promise<{bytes: Buffer; code: string | undefined}> {
  const pieces: Buffer[] = [];
  let code: string | undefined;
  socket.on('data', (piece: Buffer) => void pieces.push(piece));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return {bytes: Buffer.concat(pieces), code};
}

test('bits that change now and then, both ways: every byte arrives as it was sent', async ({scope}) => {
  const [up, down] = [flipEvery(2 ** 20), flipEvery(2 ** 20)];
  changing({up: up.change, down: down.change});
  const arrived = Promise.withResolvers<[number, string]>();
  const {address, server, client} = await membersByRelayHere(scope, {}, (socket) => {
    const digest = new Digest();
    socket.on('error', () => {});
    socket.pipe(digest);
    digest.once('finish', () => arrived.resolve([digest.bytes, digest.sha256()]));
    source(SIZE, 1).pipe(socket);
  });
  const socket = connect({port: Number(address.split(':')[1]), host: '127.0.0.1', allowHalfOpen: true});
  scope.onEnd(() => void socket.destroy());
  source(SIZE, 2).pipe(socket);
  const digest = new Digest();
  socket.pipe(digest);
  await new Promise((resolve) => digest.once('finish', resolve));
  expect([digest.bytes, digest.sha256()]).toEqual([SIZE, sha256Of(SIZE, 1)]);
  expect(await arrived.promise).toEqual([SIZE, sha256Of(SIZE, 2)]);
  expect(up.flips()).toBeGreaterThanOrEqual(3);
  expect(down.flips()).toBeGreaterThanOrEqual(3);
  for (const cli of [server, client]) expect(cli.events.filter(({type}) => type === 'error')).toEqual([]);
});

test('a relay that changes all bytes from the middle on: what came is right, then both ends are reset', async ({
  scope,
}) => {
  changing({up: flipAllAfter(SIZE / 2), down: flipAllAfter(SIZE / 2)});
  const uploaded = Promise.withResolvers<Awaited<ReturnType<typeof received>>>();
  const {address, client} = await membersByRelayHere(scope, {}, (socket) => {
    void received(socket).then(uploaded.resolve);
    source(SIZE, 1)
      .on('error', () => {})
      .pipe(socket);
  });
  const port = Number(address.split(':')[1]);
  const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
  scope.onEnd(() => void socket.destroy());
  const downloaded = received(socket);
  source(SIZE, 2)
    .on('error', () => {})
    .pipe(socket);
  // The session waits a minute for another link before it gives up.
  const ends = await Promise.all([downloaded, uploaded.promise]);
  for (const [index, {bytes, code}] of ends.entries()) {
    const sent = Buffer.concat([...pieces(SIZE, index + 1)]);
    expect(code).toBe('ECONNRESET');
    expect(bytes.length).toBeGreaterThan(0);
    expect(bytes.length).toBeLessThan(SIZE);
    expect(bytes.equals(sent.subarray(0, bytes.length))).toBe(true);
  }
  // The next connection is not made, and its user is told why.
  const next = connect(port, '127.0.0.1');
  scope.onEnd(() => void next.destroy());
  expect((await received(next)).code).toBe('ECONNRESET');
  expect(await client.event('member-failed')).toMatchObject({to: 'store:8000', code: 'MEMBER_UNREACHABLE'});
});
