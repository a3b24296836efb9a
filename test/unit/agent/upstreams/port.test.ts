// A port that somebody else dials as an upstream: a connection that is no socket of this machine.
import stream, {type Duplex} from 'node:stream';
import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {UpstreamJoin} from '../../../../src/lib/agent/upstream-join.js';
import {PortUpstream} from '../../../../src/lib/agent/upstreams/port.js';
import type {UpstreamConnection} from '../../../../src/lib/agent/upstreams/upstream.js';
import {SocketReads} from '../../../../src/lib/bytes/socket-reads.js';
import {systemCode} from '../../../../src/lib/core/errors.js';
import {BlockPool} from '../../../../src/lib/mux/blocks.js';
import type {Stream} from '../../../../src/lib/mux/stream.js';

beforeEach(() => void vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']}));
afterEach(() => void vi.useRealTimers());

const settled = () => new Promise(setImmediate);

/** An upstream whose dial is answered by hand. */
function setUp() {
  const dialled = Promise.withResolvers<Duplex>();
  const asked: {port: number; signal: AbortSignal}[] = [];
  const upstream = new PortUpstream('sb_aaaaaaaa:8080', 8080, (port, signal) => {
    asked.push({port, signal});
    return dialled.promise;
  });
  const [outer, inner] = stream.duplexPair();
  inner.on('error', () => {});
  const events: string[] = [];
  let connection: UpstreamConnection | undefined;
  const dial = (more: {preface?: Buffer} = {}) =>
    upstream.dial({
      ...more,
      onOpen: (opened) => {
        connection = opened;
        events.push('open');
      },
      onFailed: (error) => events.push(`failed ${systemCode(error)}`),
    });
  return {upstream, dial, asked, dialled, outer, inner, events, connection: () => connection};
}

test('a dial that is answered has the connection, with the preface first', async () => {
  const {dial, dialled, outer, inner, events, asked} = setUp();
  dial({preface: Buffer.from('PROXY ')});
  expect(events).toEqual([]);
  dialled.resolve(outer);
  await settled();
  expect(events).toEqual(['open']);
  expect(asked.map(({port}) => port)).toEqual([8080]);
  expect(String(inner.read())).toBe('PROXY ');
  expect(vi.getTimerCount()).toBe(0);
});

test('a dial that fails has the code of the system', async () => {
  const {dial, dialled, events} = setUp();
  dial();
  dialled.reject(Object.assign(new Error('refused'), {code: 'ECONNREFUSED'}));
  await settled();
  expect(events).toEqual(['failed ECONNREFUSED']);
});

test('a dial without an answer fails after ten seconds, and what comes later is closed', async () => {
  const {dial, dialled, outer, events, asked} = setUp();
  dial();
  vi.advanceTimersByTime(10_000);
  expect(events).toEqual(['failed ETIMEDOUT']);
  expect(asked[0]?.signal.aborted).toBe(true);
  dialled.resolve(outer);
  await settled();
  expect([events, outer.destroyed]).toEqual([['failed ETIMEDOUT'], true]);
});

test('a visitor who has left hears nothing, and the connection is closed', async () => {
  const {dial, dialled, outer, events, asked} = setUp();
  dial()();
  expect(asked[0]?.signal.aborted).toBe(true);
  dialled.resolve(outer);
  await settled();
  expect([events, outer.destroyed]).toEqual([[], true]);
});

test('a reset destroys the connection', async () => {
  const {dial, dialled, outer, connection} = setUp();
  dial();
  dialled.resolve(outer);
  await settled();
  connection()?.reset();
  expect(outer.destroyed).toBe(true);
});

test('a check ends its connection in order', async () => {
  const {upstream, dialled, outer, inner} = setUp();
  const checked = upstream.probe();
  dialled.resolve(outer);
  expect(await checked).toBeUndefined();
  const ended = new Promise((resolve) => inner.once('end', resolve));
  inner.resume();
  await ended;
  inner.end();
  await settled();
  await settled();
  expect(outer.destroyed).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('a visitor who stays gets no TCP keepalive, which only sockets of the kernel have', async () => {
  const {upstream, dialled, outer} = setUp();
  const join = new UpstreamJoin(upstream, {reads: new SocketReads(new BlockPool())});
  const told: string[] = [];
  const visitor = {
    linked: true,
    accept: () => told.push('accepted'),
    consumed: () => {},
    mayBegin: () => true,
    write: () => true,
    end: () => {},
    resetAfterData: () => {},
    state: 'closed',
    reset: () => {},
  };
  join.visit({
    stream: visitor as unknown as Stream,
    from: '192.0.2.1:1',
    onOpen: () => {},
    onDone: () => {},
  });
  dialled.resolve(outer);
  await settled();
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual(['accepted']);
  outer.destroy();
});
