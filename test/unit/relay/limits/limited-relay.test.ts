// A relay with limits, an agent, and visitors: what lies beyond a limit is refused, and bandwidth is never more than its limit,
// in order and complete.

import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {performance} from 'node:perf_hooks';
import {describe, expect} from 'vitest';
import {forward} from '../../../../src/lib/forward.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import type {RelayOptions} from '../../../../src/lib/relay/options.js';
import {startRunningRelay} from '../../../../src/lib/relay/start.js';
import {Digest, sha256Of, source} from '../../../helpers/bytes.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const token = 'a-token-of-16-or-more';
const MB = 1_000_000;

async function setUp(scope: Scope, limits: RelayOptions, onVisitor: (socket: Socket) => void) {
  const stateDir = await scope.tempDir('limited');
  const events: RelayEvent[] = [];
  const relay = await startRunningRelay(
    {domain: 'r1.localhost', listen: '127.0.0.1:0', tcpPorts: [0, 0], token, stateDir, ...limits},
    {listeners: [(event) => void events.push(event)]},
  );
  scope.onEnd(async () => await relay.close());
  const port = await scope.listen(createServer({allowHalfOpen: true}, onVisitor));
  const tunnel = await forward(port, {
    relay: relay.url,
    ...(relay.caFile !== undefined && {caFile: relay.caFile}),
    ...{token, unencrypted: true, stateDir},
    // A probe is a connection of a visitor, too.
    probe: false,
  });
  scope.onEnd(async () => await tunnel.close());
  const visit = () => {
    const socket = connect({port: tunnel.tcpSocket[1], host: '127.0.0.1', allowHalfOpen: true});
    scope.onEnd(() => void socket.destroy());
    socket.on('error', () => {});
    return socket;
  };
  return {relay, events, visit};
}

/** 'welcome' when the upstream greets the visitor, else 'reset'. */
async function fate(socket: Socket): Promise<string> {
  return await Promise.race([
    once(socket, 'data').then(() => 'welcome'),
    once(socket, 'close').then(() => 'reset'),
  ]).catch(() => 'reset');
}

test('visitors beyond a limit are reset and reported, and one that leaves makes room', async ({scope}) => {
  const {relay, events, visit} = await setUp(scope, {maxVisitorsPerTunnel: 2}, (socket) => {
    socket.on('error', () => {});
    socket.write('hello');
  });
  const [one, two] = [visit(), visit()];
  expect(await Promise.all([one, two].map(fate))).toEqual(['welcome', 'welcome']);
  expect(await fate(visit())).toBe('reset');
  expect(events.filter(({type}) => type === 'limit-reached')).toEqual([
    {type: 'limit-reached', limit: 'visitors', by: 'tunnel', of: expect.stringMatching(/^tcp:\d+$/)},
  ]);
  one.resetAndDestroy();
  await expect.poll(() => relay.stats().visitors).toBe(1);
  expect(await fate(visit())).toBe('welcome');
});

describe('bandwidth', () => {
  const rate = 2 * MB;
  const limits: [string, RelayOptions][] = [
    ['of a tunnel', {bytesPerSecondPerTunnel: rate}],
    ['of an owner', {bytesPerSecondPerOwner: rate}],
    ['of the relay', {bytesPerSecond: rate}],
  ];

  test.for(limits)('%s: downloads at once are not faster, and are complete', async ([, options], {scope}) => {
    const size = MB;
    const {visit} = await setUp(scope, options, (socket) => {
      socket.on('error', () => {});
      void source(size, 1).pipe(socket);
    });
    const since = performance.now();
    const downloads = Array.from({length: 3}, async () => {
      const digest = new Digest();
      const socket = visit();
      socket.pipe(digest);
      await once(digest, 'finish');
      socket.end();
      return {bytes: digest.bytes, sha256: digest.sha256(), ms: performance.now() - since};
    });
    const all = await Promise.all(downloads);
    for (const each of all) expect(each).toMatchObject({bytes: size, sha256: sha256Of(size, 1)});
    // The burst of 50 ms, and a piece that cannot be divided.
    const last = Math.max(...all.map(({ms}) => ms));
    expect((3 * size - 0.05 * rate - 64 * 1024) / (last / 1_000)).toBeLessThan(1.02 * rate);
    // Fair: the first one does not end long before the last one.
    const first = Math.min(...all.map(({ms}) => ms));
    expect(first / last).toBeGreaterThan(0.6);
  });

  test('uploads are not faster either, and the end passes after the last byte', async ({scope}) => {
    const size = 2 * MB;
    const arrived: {bytes: number; sha256: string}[] = [];
    const {visit} = await setUp(scope, {bytesPerSecondPerTunnel: rate}, (socket) => {
      const digest = new Digest();
      socket.on('error', () => {});
      socket.pipe(digest);
      digest.on('finish', () => {
        arrived.push({bytes: digest.bytes, sha256: digest.sha256()});
        socket.end('thanks');
      });
    });
    const since = performance.now();
    const socket = visit();
    source(size, 2).pipe(socket);
    const [answer] = await once(socket, 'data');
    const ms = performance.now() - since;
    expect(String(answer)).toBe('thanks');
    expect(arrived).toEqual([{bytes: size, sha256: sha256Of(size, 2)}]);
    expect((size - 0.05 * rate - 64 * 1024) / (ms / 1_000)).toBeLessThan(1.02 * rate);
  });

  test('a reset by the upstream comes after the bytes that it sent', async ({scope}) => {
    // Less than the window of a stream, so the agent has read it all when the upstream hears from the visitor.
    const size = 240_000;
    const {visit} = await setUp(scope, {bytesPerSecondPerTunnel: 500_000}, (socket) => {
      socket.on('error', () => {});
      socket.write(Buffer.alloc(size));
      socket.once('data', () => socket.resetAndDestroy());
    });
    const socket = visit();
    const reset = Promise.withResolvers<Error>();
    socket.on('error', reset.resolve);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => {
      if (bytes === 0) socket.write('enough');
      bytes += chunk.length;
    });
    expect(await reset.promise).toMatchObject({code: 'ECONNRESET'});
    expect(bytes).toBe(size);
  });

  test('a visitor that leaves while its bytes wait leaves nothing behind', async ({scope}) => {
    const {relay, visit} = await setUp(scope, {bytesPerSecondPerTunnel: 10_000}, (socket) => {
      socket.on('error', () => {});
      void source(MB, 3).pipe(socket);
    });
    const socket = visit();
    await once(socket, 'data');
    expect(relay.stats().visitors).toBe(1);
    socket.resetAndDestroy();
    await expect.poll(() => relay.stats().visitors, {timeout: 10_000}).toBe(0);
  });
});
