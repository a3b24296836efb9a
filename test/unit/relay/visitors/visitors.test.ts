// Visitors that the relay accepts or resets.

import {once} from 'node:events';
import {connect, createServer, Socket} from 'node:net';
import {describe, expect, test} from 'vitest';
import {UnreadLimit} from '../../../../src/lib/bytes/unread-limit.js';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {createLogger} from '../../../../src/lib/core/logger.js';
import {BlockPool} from '../../../../src/lib/mux/blocks.js';
import {Link} from '../../../../src/lib/mux/link.js';
import {createPipe} from '../../../../src/lib/mux/pipe.js';
import {Session} from '../../../../src/lib/mux/session.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';
import {AddressFilter} from '../../../../src/lib/net/address-filter.js';
import {PROBE_ANSWER, PROBE_PROTOCOL} from '../../../../src/lib/protocol/probe.js';
import type {StreamKind} from '../../../../src/lib/protocol/wire.js';
import {VisitorWatch} from '../../../../src/lib/relay/doors/visitor-watch.js';
import type {Tunnel} from '../../../../src/lib/relay/tunnels/tunnel-table.js';
import {Visitors} from '../../../../src/lib/relay/visitors/visitors.js';
import {WaitingVisitors} from '../../../../src/lib/relay/visitors/waiting-visitors.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {Scope} from '../../../helpers/scope.js';
import {Peers} from '../../../mux/peers.js';

const nobodyWatches = new VisitorWatch({
  clock: new ManualClock(),
  idleTimeoutMs: undefined,
  isTrusted: () => false,
});
const peer = {address: '127.0.0.1', port: 1, source: '127.0.0.1'};

/** A session whose link has no peer. */
function session(): Session {
  const made = new Session({
    role: 'relay',
    pool: new BlockPool(),
    sink: {onOpen: () => {}, onControl: () => {}, onEnded: () => {}},
  });
  const link = new Link(createPipe()[0]);
  link.start({onSegmentBytes() {}, onAck() {}, onMessage() {}, onDrain() {}, onClose() {}});
  made.attach(link, 0);
  return made;
}

const load = {add: () => {}};
const nobodyWaits = () => new WaitingVisitors({clock: systemClock, waitMs: 20_000});

const noLimits = {enter: () => [], leave: () => {}};
const noBandwidths = {of: () => undefined};

class Full extends UnreadLimit {
  override get full(): boolean {
    return true;
  }
}

test.each([
  ['is accepted', {}, 1],
  ['that is a probe is accepted, and not counted', {probe: true}, 1],
  ['of a tunnel that was given up is reset', {draining: true}, 0],
  ['of a session that is over is reset', {over: true}, 0],
  ['of a relay at its limit of unread bytes is reset', {full: true}, 0],
  ['of a relay without a free descriptor is reset', {crowded: true}, 0],
  ['beyond a limit is reset', {limited: true}, 0],
  ['without a tunnel is reset', {none: true}, 0],
])(
  'a visitor %s',
  async (_what, how: Partial<
    Record<'draining' | 'over' | 'full' | 'crowded' | 'limited' | 'none' | 'probe', boolean>
  >, open) => {
    await using scope = new Scope();
    const options = {limitBytes: 2 ** 30, clock: systemClock, log: createLogger('test', undefined)};
    const unread = how.full ? new Full(options) : new UnreadLimit(options);
    scope.onEnd(() => unread.close());
    const visitors = new Visitors({
      clock: systemClock,
      load,
      events: {emit: () => {}},
      unread,
      waiting: nobodyWaits(),
      watch: nobodyWatches,
      limits: how.limited ? {...noLimits, enter: () => undefined} : noLimits,
      bandwidths: noBandwidths,
      hasRoom: () => !how.crowded,
      keepAliveMs: 0,
    });
    const held = session();
    scope.onEnd(() => held.close());
    if (how.over) held.close();
    const traffic = {visitors: 0, bytesIn: 0, bytesOut: 0};
    const tunnel = {id: 1, session: held, traffic, draining: how.draining ?? false} as Tunnel;
    const door = createServer({allowHalfOpen: true});
    const port = await scope.listen(door);
    const visitor = connect(port, '127.0.0.1');
    const left = once(visitor, 'error');
    left.catch(() => {});
    const [socket] = await once(door, 'connection');
    visitors.welcome(how.none ? undefined : tunnel, {
      ...{socket, raw: socket, peer, via: 'tcp'},
      alpn: how.probe ? PROBE_PROTOCOL : undefined,
    });
    // A probe is served, and is not counted.
    expect([visitors.open, held.streamCount]).toEqual([how.probe ? 0 : open, open]);
    expect(visitors.idleBytes).toBe(open * 8_192);
    if (open === 1) visitor.destroy();
    else expect((await left)[0]).toMatchObject({code: 'ECONNRESET'});
  },
);

function unreadLimit(scope: Scope): UnreadLimit {
  const log = createLogger('test', undefined);
  const unread = new UnreadLimit({limitBytes: 2 ** 30, clock: systemClock, log});
  scope.onEnd(() => unread.close());
  return unread;
}

test('the agent gets the address of a visitor, even if the connection has ended by then', async () => {
  await using scope = new Scope();
  const unread = unreadLimit(scope);
  const held = session();
  scope.onEnd(() => held.close());
  const opened: unknown[] = [];
  const tunnel = {
    id: 1,
    traffic: {visitors: 0, bytesIn: 0, bytesOut: 0},
    draining: false,
    session: {
      ended: false,
      link: held.link,
      open: (kind: StreamKind, about: object) => {
        opened.push(about);
        return held.open(kind, about);
      },
    },
  } as unknown as Tunnel;
  const gone = new Socket();
  gone.destroy();
  const from = {address: '203.0.113.7', port: 4711, source: '203.0.113.7'};
  new Visitors({
    clock: systemClock,
    load,
    events: {emit: () => {}},
    unread,
    waiting: nobodyWaits(),
    watch: nobodyWatches,
    limits: noLimits,
    bandwidths: noBandwidths,
    hasRoom: () => true,
    keepAliveMs: 0,
  }).welcome(tunnel, {
    socket: gone,
    raw: gone,
    peer: from,
    via: 'tcp',
    alpn: undefined,
  });
  expect(opened).toEqual([{tunnel: 1, via: 'tcp', address: '203.0.113.7', port: 4711}]);
});

test('other rules for addresses look at the visitors of their tunnel alone', async () => {
  await using scope = new Scope();
  const unread = unreadLimit(scope);
  const clock = new ManualClock();
  const watch = new VisitorWatch({clock, idleTimeoutMs: undefined, isTrusted: () => false});
  let looks = 0;
  const visitors = new Visitors({
    ...{clock, load, unread, events: {emit: () => {}}, waiting: nobodyWaits()},
    watch: {
      add: (visitor) => watch.add(visitor),
      delete: (watched) => watch.delete(watched),
      all: () => {
        looks += 1;
        return watch.all();
      },
    },
    ...{limits: noLimits, bandwidths: noBandwidths, hasRoom: () => true, keepAliveMs: 0},
  });
  const held = session();
  scope.onEnd(() => held.close());
  const door = createServer({allowHalfOpen: true});
  const port = await scope.listen(door);
  const visit = async (address: string, tunnel: Tunnel): Promise<Socket> => {
    const visitor = connect(port, '127.0.0.1');
    scope.onEnd(() => void visitor.destroy());
    const [socket] = (await once(door, 'connection')) as [Socket];
    const peer = {address, port: 1, source: address};
    visitors.welcome(tunnel, {socket, raw: socket, peer, via: 'tcp', alpn: undefined});
    return visitor;
  };
  const make = (id: number) =>
    ({id, session: held, traffic: {visitors: 0, bytesIn: 0, bytesOut: 0}, draining: false}) as Tunnel;
  const [one, two] = [make(1), make(2)];
  const meant = await visit('192.0.2.1', one);
  await visit('192.0.2.2', one);
  await visit('192.0.2.1', two);
  const rules = new AddressFilter({deny: ['192.0.2.1']});
  two.addresses = rules;
  one.addresses = rules;
  const left = once(meant, 'error');
  visitors.recheck(one);
  expect([visitors.open, looks]).toEqual([2, 0]);
  expect((await left)[0]).toMatchObject({code: 'ECONNRESET'});
  visitors.recheck(two);
  visitors.recheck(make(3));
  expect([visitors.open, looks]).toEqual([1, 0]);
});

describe('a probe takes only what a probe needs', () => {
  /** A visitor with the protocol of probes, and the agent's end of its stream. */
  async function probe(scope: Scope) {
    const unread = new UnreadLimit({
      limitBytes: 2 ** 30,
      clock: systemClock,
      log: createLogger('test', undefined),
    });
    scope.onEnd(() => unread.close());
    const offered = Promise.withResolvers<Stream>();
    const peers = new Peers({onOpen: (_side, stream) => offered.resolve(stream)});
    const [agent, relay] = createPipe();
    await peers.connect({agent, relay});
    scope.onEnd(() => {
      peers.agent?.close();
      peers.relay?.close();
    });
    const clock = new ManualClock();
    const visitors = new Visitors({
      ...{clock, load, unread, events: {emit: () => {}}, waiting: nobodyWaits(), watch: nobodyWatches},
      ...{limits: noLimits, bandwidths: noBandwidths, hasRoom: () => true, keepAliveMs: 0},
    });
    const door = createServer({allowHalfOpen: true});
    const port = await scope.listen(door);
    const visitor = connect(port, '127.0.0.1');
    scope.onEnd(() => void visitor.destroy());
    const left = new Promise<string>((resolve) => {
      visitor.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      visitor.once('end', () => resolve('end'));
    });
    const [socket] = (await once(door, 'connection')) as [Socket];
    const traffic = {visitors: 0, bytesIn: 0, bytesOut: 0};
    const tunnel = {id: 1, session: peers.session('relay'), traffic, draining: false} as Tunnel;
    visitors.welcome(tunnel, {socket, raw: socket, peer, via: 'tcp', alpn: PROBE_PROTOCOL});
    const stream = await offered.promise;
    const heard: string[] = [];
    const reset = new Promise<string>((resolve) => {
      stream.sink = {
        onData: (piece) => {
          heard.push(String(piece));
          stream.consumed(piece.length);
        },
        onEnd: () => {},
        onWritable: () => {},
        onReset: resolve,
      };
    });
    return {clock, visitors, visitor, left, stream, heard, reset};
  }

  test('its secret and its answer pass', async () => {
    await using scope = new Scope();
    const {visitor, left, stream, heard, visitors, clock} = await probe(scope);
    visitor.write('5'.repeat(64));
    await expect.poll(() => heard.join('')).toBe('5'.repeat(64));
    const answer = once(visitor, 'data');
    stream.accept();
    stream.write(PROBE_ANSWER);
    stream.end();
    expect(String((await answer)[0])).toBe('tunl-probe\n');
    expect(await left).toBe('end');
    visitor.end();
    await expect.poll(() => visitors.idleBytes).toBe(0);
    expect(clock.pending).toBe(0);
  });

  test('an agent that accepts it as a visitor and sends 10 KB is cut', async () => {
    await using scope = new Scope();
    const {left, stream, reset} = await probe(scope);
    stream.accept();
    stream.write(Buffer.alloc(10_000));
    expect(await reset).toBe('CANCELLED');
    expect(await left).toBe('ECONNRESET');
  });

  test('a visitor that sends 10 KB is cut', async () => {
    await using scope = new Scope();
    const {visitor, left, stream, reset} = await probe(scope);
    stream.accept();
    visitor.write(Buffer.alloc(10_000));
    expect(await reset).toBe('CANCELLED');
    expect(await left).toBe('ECONNRESET');
  });

  test('one that stays open is cut', async () => {
    await using scope = new Scope();
    const {clock, left, stream, reset, visitors} = await probe(scope);
    stream.accept();
    clock.advance(10_000);
    expect([await reset, await left]).toEqual(['CANCELLED', 'ECONNRESET']);
    expect([visitors.idleBytes, clock.pending]).toEqual([0, 0]);
  });
});
