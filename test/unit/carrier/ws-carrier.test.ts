import {once} from 'node:events';
import type {TLSSocket} from 'node:tls';
import {describe, expect} from 'vitest';
import type {Role} from '../../../src/lib/carrier/ws-frames.js';
import {carrierAndPeer, carrierPair, listenTo, send} from '../../helpers/carriers.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {test} from '../../helpers/test.js';
import {closeBody, type FrameParts, frame} from '../../helpers/ws-bytes.js';

const roles: readonly Role[] = ['agent', 'relay'];
const zero = Buffer.alloc(4);
const key = Buffer.from([1, 2, 3, 4]);
/** A frame as a carrier of the role writes it. */
const from = (role: Role, parts: FrameParts) => frame({...parts, ...(role === 'agent' && {mask: zero})});
/** A frame as a carrier of the role has to get it. */
const to = (role: Role, parts: FrameParts) => frame({...parts, ...(role === 'relay' && {mask: key})});

/** Collects what the naked peer receives; resolves `until` it holds that many bytes. */
function collect(peer: TLSSocket) {
  let bytes = Buffer.alloc(0);
  const wake = new Set<() => void>();
  peer.on('error', () => {});
  peer.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    for (const fn of wake) fn();
  });
  return {
    get bytes() {
      return bytes;
    },
    async until(length: number) {
      while (bytes.length < length) await new Promise<void>((resolve) => wake.add(resolve));
      return bytes;
    },
  };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const listeners = (socket: TLSSocket) =>
  ['data', 'end', 'close', 'error', 'drain', 'finish', 'readable'].map(
    (name) => `${name} ${socket.listenerCount(name)}`,
  );

describe.each(roles)('a carrier of the %s', (role) => {
  test('writes each block as one message, in order, and gives it back', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const inbox = collect(peer);
    listenTo(carrier);
    const sizes = [1, 125, 126, 70_000, 3, 131_000, 40_000, 2, 65_535, 65_536, 9];
    const payloads = sizes.map((size, i) => Buffer.alloc(size, i + 1));
    const given: number[] = [];
    await Promise.all(payloads.map((payload, i) => send(carrier, payload).then(() => given.push(i))));
    const expected = Buffer.concat(payloads.map((payload) => from(role, {payload})));
    expect((await inbox.until(expected.length)).equals(expected)).toBe(true);
    expect(given).toEqual(sizes.map((_, i) => i));
    expect(carrier.bufferedBytes).toBe(0);
  });

  test('writes its header into the headroom only', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const inbox = collect(peer);
    const block = Buffer.alloc(200, 0xee);
    const written = new Promise<void>((resolve) => carrier.write(block, 50, 150, resolve));
    await written;
    const expected = from(role, {payload: Buffer.alloc(100, 0xee)});
    expect(await inbox.until(expected.length)).toEqual(expected);
    expect(block.subarray(0, 50 - carrier.headroom)).toEqual(Buffer.alloc(50 - carrier.headroom, 0xee));
    expect(block.subarray(50)).toEqual(Buffer.alloc(150, 0xee));
    expect(() => carrier.write(block, carrier.headroom - 1, 150)).toThrow(RangeError);
  });

  test('an empty write sends nothing and gives the block back', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const inbox = collect(peer);
    await send(carrier, Buffer.alloc(0));
    await send(carrier, Buffer.from('x'));
    const expected = from(role, {payload: 'x'});
    expect(await inbox.until(expected.length)).toEqual(expected);
  });

  test('holds back, and drains', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role, {highWaterBytes: 100_000});
    const log = listenTo(carrier);
    const blocks: Promise<void>[] = [];
    const block = () => Buffer.alloc(carrier.headroom + 50_000);
    const write = () => {
      const bytes = block();
      let go = true;
      blocks.push(
        new Promise((resolve) => {
          go = carrier.write(bytes, carrier.headroom, bytes.length, resolve);
        }),
      );
      return go;
    };
    expect(write()).toBe(true);
    // Until the kernel takes no more: the peer does not read.
    for (let full = 0; full < 3; ) {
      full = write() ? 0 : full + 1;
      await turn();
    }
    expect(carrier.bufferedBytes).toBeGreaterThanOrEqual(100_000);
    const held = carrier.bufferedBytes;
    const drains = log.drains;
    peer.resume();
    await log.until(() => log.drains > drains);
    expect(carrier.bufferedBytes).toBeLessThanOrEqual(held / 2);
    await Promise.all(blocks);
    expect(carrier.bufferedBytes).toBe(0);
    expect(log.drains).toBe(drains + 1);
  });

  test('hands on what came with the upgrade first, and what came before start', async ({scope}) => {
    const all = to(role, {payload: 'early '});
    const {carrier, peer} = await carrierAndPeer(scope, role, {head: Buffer.from(all.subarray(0, 5))});
    peer.write(all.subarray(5));
    peer.write(to(role, {payload: 'bird'}));
    await turn();
    await turn();
    const log = listenTo(carrier);
    expect(log.bytes).toBe(0);
    await log.received(10);
    expect(log.data.toString()).toBe('early bird');
  });

  test('answers a ping with its payload, before data that waits', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    const block = Buffer.alloc(100_000);
    while (carrier.bufferedBytes < 1_000_000) {
      void send(carrier, block);
      await turn();
    }
    peer.write(to(role, {opcode: 9, payload: 'now?'}));
    peer.write(to(role, {payload: 'mark'}));
    await log.received(4);
    const waiting = carrier.bufferedBytes;
    const inbox = collect(peer);
    await log.until(() => carrier.bufferedBytes === 0 || log.drains > 0);
    const pong = from(role, {opcode: 10, payload: 'now?'});
    while (!inbox.bytes.includes(pong)) await inbox.until(inbox.bytes.length + 1);
    const after = inbox.bytes.length - inbox.bytes.indexOf(pong);
    expect(after).toBeLessThan(waiting);
    await inbox.until(inbox.bytes.indexOf(pong) + pong.length + 100_000);
  });

  test('answers the last of many pings of a peer that does not read', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    while (carrier.bufferedBytes < 500_000) {
      void send(carrier, Buffer.alloc(100_000));
      await turn();
    }
    const before = carrier.bufferedBytes;
    for (let i = 0; i < 150; i += 1) peer.write(to(role, {opcode: 9, payload: `ping ${i}`.padEnd(125)}));
    peer.write(to(role, {payload: 'mark'}));
    await log.received(4);
    expect(carrier.bufferedBytes).toBeLessThan(before + 200);
    const inbox = collect(peer);
    const last = from(role, {opcode: 10, payload: 'ping 149'.padEnd(125)});
    while (!inbox.bytes.includes(last)) await inbox.until(inbox.bytes.length + 1);
  });

  test('unmasked pongs and pings of its own are nobody’s business', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    peer.write(to(role, {opcode: 10, payload: 'unasked'}));
    peer.write(to(role, {payload: 'data'}));
    await log.received(4);
    expect(log.data.toString()).toBe('data');
  });

  test('end delivers what was written, then both sides close without an error', async ({scope}) => {
    const clock = new ManualClock();
    const {sockets, ...carriers} = await carrierPair(scope, {clock});
    const mine = carriers[role];
    const theirs = carriers[role === 'agent' ? 'relay' : 'agent'];
    const logs = [listenTo(mine), listenTo(theirs)] as const;
    const given: number[] = [];
    for (let i = 0; i < 40; i += 1) void send(mine, Buffer.alloc(65_536, i)).then(() => given.push(i));
    mine.end();
    mine.end();
    expect(await logs[0].closed()).toBeUndefined();
    expect(await logs[1].closed()).toBeUndefined();
    expect(logs[1].bytes).toBe(40 * 65_536);
    expect(given).toHaveLength(40);
    mine.end();
    mine.destroy(new Error('too late'));
    await turn();
    expect(logs.map((log) => log.closes.length)).toEqual([1, 1]);
    expect(clock.pending).toBe(0);
    expect(sockets[role].destroyed).toBe(true);
  });

  test('both ends at once', async ({scope}) => {
    const {agent, relay} = await carrierPair(scope);
    const logs = [listenTo(agent), listenTo(relay)];
    void send(agent, Buffer.from('from agent'));
    void send(relay, Buffer.from('from relay'));
    agent.end();
    relay.end();
    expect(await Promise.all(logs.map((log) => log.closed()))).toEqual([undefined, undefined]);
    expect(logs.map((log) => log.data.toString())).toEqual(['from relay', 'from agent']);
  });

  test('what the peer still sends after our end arrives', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    const inbox = collect(peer);
    carrier.end();
    const close = from(role, {opcode: 8, payload: closeBody(1000)});
    expect(await inbox.until(close.length)).toEqual(close);
    peer.write(to(role, {payload: 'one more thing'}));
    peer.write(to(role, {opcode: 8, payload: closeBody(1000)}));
    peer.end();
    expect(await log.closed()).toBeUndefined();
    expect(log.data.toString()).toBe('one more thing');
  });

  test('after the end nothing is sent, and blocks come back', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    listenTo(carrier);
    const inbox = collect(peer);
    carrier.end();
    await send(carrier, Buffer.from('late'));
    const close = from(role, {opcode: 8, payload: closeBody(1000)});
    await inbox.until(close.length);
    peer.end(to(role, {opcode: 8, payload: closeBody(1000)}));
    await once(peer, 'close');
    expect(inbox.bytes).toEqual(close);
    await send(carrier, Buffer.from('very late'));
  });

  test('a peer that never answers the close is left after the limit', async ({scope}) => {
    const clock = new ManualClock();
    const {carrier, peer} = await carrierAndPeer(scope, role, {clock, closeTimeoutMs: 5_000});
    const log = listenTo(carrier);
    const inbox = collect(peer);
    carrier.end();
    await inbox.until(from(role, {opcode: 8, payload: closeBody(1000)}).length);
    await turn();
    clock.advance(4_999);
    await turn();
    expect(log.closes).toEqual([]);
    clock.advance(1);
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
    expect(clock.pending).toBe(0);
  });

  test('the peer’s close frame is answered in kind and ends the carrier', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    const inbox = collect(peer);
    peer.write(to(role, {payload: 'last'}));
    peer.write(to(role, {opcode: 8, payload: closeBody(1001, 'going')}));
    const answer = from(role, {opcode: 8, payload: closeBody(1001)});
    expect(await inbox.until(answer.length)).toEqual(answer);
    await once(peer, 'end');
    peer.end();
    expect(await log.closed()).toBeUndefined();
    expect(log.data.toString()).toBe('last');
  });

  test.for<[number, string | undefined]>([
    [1000, undefined],
    [1005, undefined],
    [1002, 'PROTOCOL'],
    [1009, 'PROTOCOL'],
    [1008, 'RELAY_LOST'],
    [1011, 'RELAY_LOST'],
    [4_001, 'RELAY_LOST'],
  ])('close code %i of the peer means %s', async ([code, expected], {scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    collect(peer);
    const payload = code === 1005 ? '' : closeBody(code, 'no\u001b[31m\nred');
    peer.end(to(role, {opcode: 8, payload}));
    const error = await log.closed();
    if (expected === undefined) expect(error).toBeUndefined();
    else {
      expect(error).toMatchObject({code: expected});
      expect(error?.message).toContain(`${code} (no [31m red)`);
    }
  });

  test('FIN without a close frame is a lost link', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    peer.end(to(role, {payload: 'x'}).subarray(0, 2));
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
  });

  test('a socket that dies gives every block back and says so once', async ({scope}) => {
    const clock = new ManualClock();
    const {carrier, peer, socket} = await carrierAndPeer(scope, role, {clock});
    const log = listenTo(carrier);
    const given: number[] = [];
    for (let i = 0; i < 100; i += 1) void send(carrier, Buffer.alloc(100_000)).then(() => given.push(i));
    await turn();
    // Unread bytes at the close: TCP resets.
    peer.destroy();
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
    await turn();
    expect(given).toEqual(Array.from({length: 100}, (_, i) => i));
    expect(carrier.bufferedBytes).toBe(0);
    expect(log.closes).toHaveLength(1);
    expect(clock.pending).toBe(0);
    expect(socket.listenerCount('data')).toBe(0);
  });

  test('destroy: nothing more arrives, every block comes back, onClose has the error', async ({scope}) => {
    const {carrier, peer, socket} = await carrierAndPeer(scope, role);
    const before = listeners(socket);
    const log = listenTo(carrier);
    const given: number[] = [];
    for (let i = 0; i < 50; i += 1) void send(carrier, Buffer.alloc(100_000)).then(() => given.push(i));
    peer.write(Buffer.concat([to(role, {payload: 'a'}), to(role, {payload: 'b'})]));
    const error = new Error('enough');
    log.onPiece = () => carrier.destroy(error);
    expect(await log.closed()).toBe(error);
    carrier.destroy();
    carrier.end();
    await turn();
    expect(log.data.toString()).toBe('a');
    expect(given).toHaveLength(50);
    expect(log.closes).toHaveLength(1);
    const own = ['error', 'close'];
    expect(listeners(socket)).toEqual(
      before.map((line) =>
        line.replace(/(\w+) (\d+)/, (_, name, n) => `${name} ${own.includes(name) ? n - 1 : n}`),
      ),
    );
  });

  test('destroy without an error is an orderly end here', async ({scope}) => {
    const {carrier} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    carrier.destroy();
    expect(await log.closed()).toBeUndefined();
  });

  test('a carrier whose socket died before start says so at start', async ({scope}) => {
    const {carrier, socket} = await carrierAndPeer(scope, role);
    socket.destroy(new Error('unplugged'));
    await new Promise((resolve) => socket.once('close', resolve));
    const log = listenTo(carrier);
    expect(log.closes).toEqual([]);
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST', message: 'The link broke: unplugged.'});
  });

  test('a sink that throws costs its own carrier only', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    const bug = new Error('a bug');
    log.onPiece = () => {
      throw bug;
    };
    peer.write(to(role, {payload: 'x'}));
    expect(await log.closed()).toMatchObject({code: 'UNEXPECTED', cause: bug});
  });

  test.for<[string, number, FrameParts | Buffer]>([
    ['2^63 bytes', 1009, {claims: 2n ** 63n}],
    ['text', 1003, {opcode: 1, payload: 'hello'}],
    ['a bad close reason', 1007, {opcode: 8, payload: closeBody(1000, Buffer.from([0xff]))}],
    ['a bad close code', 1002, {opcode: 8, payload: closeBody(1004)}],
    ['garbage', 1002, Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('%s is answered with %i', async ([_what, code, input], {scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    const inbox = collect(peer);
    for (let i = 0; i < 20; i += 1) void send(carrier, Buffer.alloc(1000, 0xee));
    peer.write(Buffer.isBuffer(input) ? input : to(role, input));
    peer.write(Buffer.alloc(100_000));
    await once(peer, 'end');
    peer.end();
    expect(await log.closed()).toMatchObject({code: 'PROTOCOL'});
    expect(log.bytes).toBe(0);
    const head = from(role, {opcode: 8, payload: closeBody(code)}).subarray(role === 'agent' ? 6 : 2);
    const close = inbox.bytes.subarray(inbox.bytes.lastIndexOf(head));
    expect(close.readUInt16BE(0)).toBe(code);
    expect(close.length).toBeGreaterThan(10);
  });

  test('a peer that breaks the protocol and does not read is left after a second', async ({scope}) => {
    const clock = new ManualClock();
    const {carrier, peer} = await carrierAndPeer(scope, role, {clock});
    const log = listenTo(carrier);
    while (carrier.bufferedBytes < 1_000_000) {
      void send(carrier, Buffer.alloc(100_000));
      await turn();
    }
    peer.write(to(role, {opcode: 3}));
    while (clock.pending === 0) await turn();
    clock.advance(1_000);
    expect(await log.closed()).toMatchObject({code: 'PROTOCOL'});
    expect(clock.pending).toBe(0);
  });
});

test('names the peer in its label', async ({scope}) => {
  const {carrier, socket} = await carrierAndPeer(scope, 'agent');
  expect(carrier.label).toBe(`wss 127.0.0.1:${socket.remotePort}`);
  expect(carrier.headroom).toBe(14);
  expect((await carrierAndPeer(scope, 'relay', {label: 'wss here'})).carrier).toMatchObject({
    label: 'wss here',
    headroom: 10,
  });
});
