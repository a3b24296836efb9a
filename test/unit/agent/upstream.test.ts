// The upstream of one visitor: what happens to a dial when the visitor is gone.

import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect, createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import {UpstreamJoin} from '../../../src/lib/agent/upstream-join.js';
import {UpstreamWait} from '../../../src/lib/agent/upstream-wait.js';
import {TcpUpstream} from '../../../src/lib/agent/upstreams/tcp.js';
import type {Upstream, UpstreamDial} from '../../../src/lib/agent/upstreams/upstream.js';
import {SocketReads} from '../../../src/lib/bytes/socket-reads.js';
import {systemCode} from '../../../src/lib/core/errors.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import {deafPort} from '../../helpers/deaf-port.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';
import {record} from '../../helpers/upstreams.js';

const SYN_SENT = '02';

/** Unanswered connections to `port` of this machine, from the kernel's table. */
function dials(port: number): number {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const rows = readFileSync('/proc/self/net/tcp', 'latin1').split('\n');
  return rows
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , to, state]) => to?.endsWith(remote) && state === SYN_SENT).length;
}

// Only Linux has the kernel's table.
test.runIf(process.platform === 'linux')(
  'a visitor who leaves while the upstream is dialled ends the dial',
  async ({scope}) => {
    const port = await deafPort(scope);
    const upstream = new UpstreamJoin(new TcpUpstream({host: '127.0.0.1', port}), {
      reads: new SocketReads(new BlockPool()),
    });
    const stream = {sink: undefined as StreamSink | undefined};
    const done = Promise.withResolvers<string | undefined>();
    upstream.visit({
      stream: stream as unknown as Stream,
      from: '192.0.2.1:1',
      onOpen: () => {},
      onDone: done.resolve,
    });
    while (dials(port) === 0) await new Promise((resolve) => setImmediate(resolve));
    stream.sink?.onReset('VISITOR_RESET');
    expect(await done.promise).toBe('VISITOR_RESET');
    for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(dials(port)).toBe(0);
  },
);

/** A visitor's stream, and its answers. */
function visitor(upstream: UpstreamJoin) {
  const told: string[] = [];
  const stream = {
    sink: undefined as StreamSink | undefined,
    state: 'offered',
    linked: true,
    bytesOut: 0,
    heldBytes: 0,
    accept: () => void told.push('accepted'),
    refuse: (code: string) => void told.push(`refused ${code}`),
    consumed: () => {},
    mayBegin: () => true,
    write: () => true,
    end: () => {},
    resetAfterData: () => {},
  };
  const done = Promise.withResolvers<readonly [string | undefined, string | undefined]>();
  upstream.visit({
    from: '192.0.2.1:1',
    stream: stream as unknown as Stream,
    onOpen: () => {},
    onDone: (code, cause) => done.resolve([code, cause && systemCode(cause)]),
  });
  return {sink: stream.sink as StreamSink, told, done: done.promise};
}

const reads = () => new SocketReads(new BlockPool());

test('each dial has the facts about its visitor', () => {
  const dials: UpstreamDial[] = [];
  const upstream: Upstream = {
    label: 'upstream',
    dial: (dial) => {
      dials.push(dial);
      return () => {};
    },
    listenState: async () => 'unknown',
    probe: async () => undefined,
  };
  const join = new UpstreamJoin(upstream, {reads: reads()});
  const facts = {via: 'tls', address: '2001:db8::1', port: 4711, alpn: 'h2'} as const;
  join.visit({
    from: '[2001:db8::1]:4711',
    visitor: facts,
    stream: {} as Stream,
    onOpen: () => {},
    onDone: () => {},
  });
  expect(dials.map(({visitor, alpn}) => ({visitor, alpn}))).toEqual([{visitor: facts, alpn: 'h2'}]);
});

test('bytes that a visitor sent before its reset reach the upstream, which is still dialled for them', async ({
  scope,
}) => {
  const server = createServer();
  const port = await scope.listen(server);
  const {sink, done} = visitor(
    new UpstreamJoin(new TcpUpstream({host: '127.0.0.1', port}), {reads: reads()}),
  );
  sink.onData(Buffer.from('last words'));
  sink.onReset('VISITOR_RESET');
  const [socket] = (await once(server, 'connection')) as [Socket];
  const heard = record(socket);
  expect(await heard.closed).toBe('ECONNRESET');
  expect(heard.data().toString()).toBe('last words');
  expect(await done).toEqual(['VISITOR_RESET', undefined]);
});

test('a visitor waits for an upstream that is not there yet, and its bytes wait with it', async ({scope}) => {
  const port = await unusedPort();
  const upstream = new UpstreamJoin(new TcpUpstream({host: '127.0.0.1', port}), {
    reads: reads(),
    waitMs: 60_000,
  });
  const {sink, told} = visitor(upstream);
  sink.onData(Buffer.from('hello'));
  // It was refused at least once by now.
  await expect(once(connect(port, '127.0.0.1'), 'connect')).rejects.toMatchObject({code: 'ECONNREFUSED'});
  const server = createServer();
  await scope.listen(server, '127.0.0.1', port);
  const [socket] = (await once(server, 'connection')) as [Socket];
  expect(String((await once(socket, 'data'))[0])).toBe('hello');
  expect(told).toEqual(['accepted']);
});

test('a visitor waits for a program that is starting', async ({scope}) => {
  const server = createServer();
  const port = await scope.listen(server);
  const upstream = new UpstreamJoin(undefined, {reads: reads(), waitMs: 60_000});
  const {sink} = visitor(upstream);
  sink.onData(Buffer.from('hello'));
  upstream.pointTo(new TcpUpstream({host: '127.0.0.1', port}));
  const [socket] = (await once(server, 'connection')) as [Socket];
  expect(String((await once(socket, 'data'))[0])).toBe('hello');
});

test('a visitor that leaves meanwhile does not wait any more, and the time is bounded', async () => {
  const port = await unusedPort();
  const patient = visitor(
    new UpstreamJoin(new TcpUpstream({host: '127.0.0.1', port}), {reads: reads(), waitMs: 60_000}),
  );
  await expect(once(connect(port, '127.0.0.1'), 'connect')).rejects.toMatchObject({code: 'ECONNREFUSED'});
  patient.sink.onData(Buffer.from('hello'));
  patient.sink.onReset('VISITOR_RESET');
  expect(await patient.done).toEqual(['VISITOR_RESET', undefined]);
  const brief = visitor(
    new UpstreamJoin(new TcpUpstream({host: '127.0.0.1', port}), {reads: reads(), waitMs: 120}),
  );
  expect(await brief.done).toEqual(['UPSTREAM_REFUSED', 'ECONNREFUSED']);
  expect(brief.told).toEqual(['refused UPSTREAM_REFUSED']);
});

test('a limited number waits, each until its time is over', () => {
  const clock = new ManualClock();
  const wait = new UpstreamWait(1_000, clock);
  const dials: number[] = [];
  const visitors = Array.from({length: 257}, () => wait.begin());
  const taken = visitors.map((each) => each.again(() => void dials.push(clock.now())));
  expect(taken.filter((each) => !each)).toHaveLength(1);
  expect(taken.at(-1)).toBe(false);
  visitors[0]?.end();
  expect(visitors.at(-1)?.again(() => {})).toBe(true);
  clock.advance(100);
  expect(dials).toEqual(Array.from({length: 255}, () => 100));
  const [, second] = visitors;
  const times: number[] = [];
  const again = () => {
    times.push(clock.now());
    if (second?.again(again) === false) times.push(-1);
  };
  again();
  clock.advance(2_000);
  expect(times).toEqual([100, 300, 550, 800, 1_000, -1]);
  for (const each of visitors) each.end();
  expect(clock.pending).toBe(0);
});
