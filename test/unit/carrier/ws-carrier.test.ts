import {once} from 'node:events';
import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import type {TLSSocket} from 'node:tls';
import {describe, expect} from 'vitest';

import {WebSocketCarrier} from '../../../src/lib/carrier/ws-carrier.js';
import type {Role} from '../../../src/lib/carrier/ws-frames.js';
import {carrierAndPeer, carrierPair, listenTo, send, tlsPair} from '../../helpers/carriers.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {test} from '../../helpers/test.js';
import {closeBody, type FrameParts, frame} from '../../helpers/ws-bytes.js';

const roles: readonly Role[] = ['agent', 'relay'];
const zero = Buffer.alloc(4);
const key = Buffer.from([1, 2, 3, 4]);
/** A frame that a carrier of the role writes. */
const from = (role: Role, parts: FrameParts) => frame({...parts, ...(role === 'agent' && {mask: zero})});
/** A frame that a carrier of the role reads. */
const to = (role: Role, parts: FrameParts) => frame({...parts, ...(role === 'relay' && {mask: key})});

/** Collects the bytes that the raw peer receives. */
function collect(peer: TLSSocket) {
  let pieces: Buffer[] = [];
  let length = 0;
  let wake = () => {};
  peer.on('error', () => {});
  peer.on('data', (chunk: Buffer) => {
    pieces.push(chunk);
    length += chunk.length;
    wake();
  });
  return {
    get length() {
      return length;
    },
    get bytes(): Buffer {
      pieces = [Buffer.concat(pieces)];
      return pieces[0] as Buffer;
    },
    /** Resolves when that many bytes have arrived. */
    async until(wanted: number): Promise<Buffer> {
      while (length < wanted) await new Promise<void>((resolve) => (wake = resolve));
      return this.bytes;
    },
    /** Resolves when the received bytes contain these. */
    async untilIncludes(wanted: Buffer): Promise<void> {
      while (!this.bytes.includes(wanted)) await this.until(length + 1);
    },
  };
}

/** A socket whose kernel takes each write only when the test says so. */
class GatedSocket extends Duplex {
  /** The chunks of each write: one, or several that were written together. */
  readonly writes: Buffer[][] = [];
  noDelay = false;
  #taken: (() => void) | undefined;

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.writes.push([bytes]);
    this.#taken = done;
  }

  override _writev(chunks: {chunk: Buffer}[], done: () => void): void {
    this.writes.push(chunks.map(({chunk}) => chunk));
    this.#taken = done;
  }

  override _read(): void {}
  get written(): Buffer[] {
    return this.writes.flat();
  }

  setTimeout(): void {}
  setNoDelay(noDelay = true): void {
    this.noDelay = noDelay;
  }

  /** Takes the current write. */
  async takeOne(): Promise<void> {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
    await turn();
  }

  async receive(bytes: Buffer | null): Promise<void> {
    this.push(bytes);
    await turn();
  }
}

function gated(role: Role, options: {clock?: ManualClock} = {}) {
  const socket = new GatedSocket();
  const carrier = new WebSocketCarrier({...options, socket: socket as unknown as Socket, role});
  return {socket, carrier, log: listenTo(carrier)};
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Nothing happens for 5 s; then the link is lost. */
async function expectGivenUp(log: ReturnType<typeof listenTo>, clock: ManualClock): Promise<void> {
  clock.advance(4_999);
  await turn();
  expect(log.closes).toEqual([]);
  clock.advance(1);
  expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
}

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

  test('writes its header only into the headroom', async ({scope}) => {
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
    // Until the kernel takes no more, because the peer does not read.
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

  test('delivers bytes that came with the upgrade first, and those before start', async ({scope}) => {
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

  test('unmasked pongs and its own pings are ignored', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    peer.write(to(role, {opcode: 10, payload: 'unasked'}));
    peer.write(to(role, {payload: 'data'}));
    await log.received(4);
    expect(log.data.toString()).toBe('data');
  });

  test('end delivers all written bytes, then both sides close without an error', async ({scope}) => {
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

  test('both sides end at once', async ({scope}) => {
    const {agent, relay} = await carrierPair(scope);
    const logs = [listenTo(agent), listenTo(relay)];
    void send(agent, Buffer.from('from agent'));
    void send(relay, Buffer.from('from relay'));
    agent.end();
    relay.end();
    expect(await Promise.all(logs.map((log) => log.closed()))).toEqual([undefined, undefined]);
    expect(logs.map((log) => log.data.toString())).toEqual(['from relay', 'from agent']);
  });

  test('bytes of the peer after our end arrive', async ({scope}) => {
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
    const {carrier, peer} = await carrierAndPeer(scope, role, {clock});
    const log = listenTo(carrier);
    const inbox = collect(peer);
    carrier.end();
    await inbox.until(from(role, {opcode: 8, payload: closeBody(1000)}).length);
    await turn();
    await expectGivenUp(log, clock);
    expect(clock.pending).toBe(0);
  });

  test('garbage instead of the answer to our close', async ({scope}) => {
    const {carrier, peer} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    const inbox = collect(peer);
    carrier.end();
    const close = from(role, {opcode: 8, payload: closeBody(1000)});
    await inbox.until(close.length);
    peer.on('end', () => peer.end());
    const gone = new Promise((resolve) => peer.once('close', resolve));
    peer.write(to(role, {opcode: 3}));
    expect(await log.closed()).toMatchObject({code: 'PROTOCOL'});
    await gone;
    expect(inbox.bytes).toEqual(close);
  });

  test('an error after both have closed is no error', async ({scope}) => {
    const {carrier, peer, socket} = await carrierAndPeer(scope, role);
    const log = listenTo(carrier);
    const inbox = collect(peer);
    peer.write(to(role, {opcode: 8, payload: closeBody(1000)}));
    await inbox.until(from(role, {opcode: 8, payload: closeBody(1000)}).length);
    await turn();
    socket.destroy(new Error('read ECONNRESET'));
    expect(await log.closed()).toBeUndefined();
    expect(carrier.bufferedBytes).toBe(0);
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

  test('a socket that dies returns every block and reports it once', async ({scope}) => {
    const clock = new ManualClock();
    const {carrier, peer, socket} = await carrierAndPeer(scope, role, {clock});
    const log = listenTo(carrier);
    const given: number[] = [];
    for (let i = 0; i < 100; i += 1) void send(carrier, Buffer.alloc(100_000)).then(() => given.push(i));
    await turn();
    // Unread bytes at the close make TCP reset.
    peer.destroy();
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
    await turn();
    expect(given).toEqual(Array.from({length: 100}, (_, i) => i));
    expect(carrier.bufferedBytes).toBe(0);
    expect(log.closes).toHaveLength(1);
    expect(clock.pending).toBe(0);
    expect(socket.listenerCount('data')).toBe(0);
  });

  test('destroy: nothing more arrives, every block is returned, onClose gets the error', async ({scope}) => {
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

  test('a carrier whose socket died before start reports it at start', async ({scope}) => {
    const {carrier, socket} = await carrierAndPeer(scope, role);
    socket.destroy(new Error('unplugged'));
    await new Promise((resolve) => socket.once('close', resolve));
    const log = listenTo(carrier);
    expect(log.closes).toEqual([]);
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST', message: 'The link broke: unplugged.'});
  });

  test('a socket that was closed before it became a carrier', async ({scope}) => {
    const sockets = await tlsPair(scope);
    const socket = sockets[role];
    await new Promise((resolve) => socket.once('close', resolve).destroy());
    const log = listenTo(new WebSocketCarrier({socket, role}));
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
  });

  test('the idle timeout of the http server is off', async ({scope}) => {
    const sockets = await tlsPair(scope);
    const socket = sockets[role].setTimeout(60_000);
    const carrier = new WebSocketCarrier({socket, role});
    expect(socket.timeout).toBe(0);
    carrier.destroy();
  });

  test('a sink that throws affects only its own carrier', async ({scope}) => {
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

describe.each(roles)('when the kernel of the %s takes its time', (role) => {
  const block = Buffer.alloc(100_000);
  const close = (code: number, reason = '') => from(role, {opcode: 8, payload: closeBody(code, reason)});

  test('while the kernel takes no more', () => {
    const {socket, carrier} = gated(role);
    expect(socket.noDelay).toBe(true);
    carrier.destroy();
  });

  test('large blocks go one by one, small ones together', async () => {
    const {socket, carrier} = gated(role);
    const sizes = [50_000, 40_000, 1_000, 2_000, 3_000, 40_000, 30_000, 30_000, 30_000, 10];
    for (const size of sizes) void send(carrier, Buffer.alloc(size));
    while (carrier.bufferedBytes > 0) await socket.takeOne();
    const header = frame({payload: '', ...(role === 'agent' && {mask: zero})}).length;
    const payloads = socket.writes.map((chunks) =>
      chunks.map(({length}) => length - header - (length > 200 ? 2 : 0)),
    );
    expect(payloads).toEqual([
      [50_000],
      [40_000],
      [1_000, 2_000, 3_000],
      [40_000],
      [30_000, 30_000, 30_000],
      [10],
    ]);
  });

  test('a pong goes before waiting data', async () => {
    const {socket, carrier} = gated(role);
    for (let i = 0; i < 4; i += 1) void send(carrier, block);
    await turn();
    await socket.receive(to(role, {opcode: 9, payload: 'now?'}));
    await socket.takeOne();
    expect(socket.written[1]).toEqual(from(role, {opcode: 10, payload: 'now?'}));
    await socket.takeOne();
    expect(socket.written[2]).toEqual(from(role, {payload: block}));
    carrier.destroy();
  });

  test('only the last of many pings is answered', async () => {
    const {socket, carrier} = gated(role);
    void send(carrier, block);
    await turn();
    const before = carrier.bufferedBytes;
    const ping = (i: number) => ({opcode: 9, payload: `ping ${i}`.padEnd(125)});
    for (let i = 0; i < 150; i += 1) await socket.receive(to(role, ping(i)));
    expect(carrier.bufferedBytes).toBeLessThan(before + 150);
    while (carrier.bufferedBytes > 0) await socket.takeOne();
    const pong = (i: number) => from(role, {...ping(i), opcode: 10});
    expect(socket.written.slice(1)).toEqual([pong(0), pong(149)]);
    carrier.destroy();
  });

  test('everything written before the end is delivered, however long it takes', async () => {
    const clock = new ManualClock();
    const {socket, carrier, log} = gated(role, {clock});
    for (let i = 0; i < 10; i += 1) void send(carrier, block);
    carrier.end();
    while (carrier.bufferedBytes > 0) {
      clock.advance(4_999);
      await socket.takeOne();
    }
    expect(clock.now()).toBeGreaterThan(50_000);
    expect(socket.written).toHaveLength(11);
    expect(socket.written.at(-1)).toEqual(close(1000));
    expect(log.closes).toEqual([]);
    await socket.receive(to(role, {opcode: 8, payload: closeBody(1000)}));
    await socket.receive(null);
    expect(await log.closed()).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  test('an end that makes no progress is given up', async () => {
    const clock = new ManualClock();
    const {socket, carrier, log} = gated(role, {clock});
    for (let i = 0; i < 3; i += 1) void send(carrier, block);
    carrier.end();
    clock.advance(4_000);
    await socket.takeOne();
    await expectGivenUp(log, clock);
    expect(carrier.bufferedBytes).toBe(0);
  });

  test('an end of which no byte leaves is given up', async () => {
    const clock = new ManualClock();
    const {carrier, log} = gated(role, {clock});
    for (let i = 0; i < 3; i += 1) void send(carrier, block);
    carrier.end();
    await expectGivenUp(log, clock);
    expect(carrier.bufferedBytes).toBe(0);
  });

  test('waiting data is not sent to a peer that broke the protocol', async () => {
    const {socket, carrier, log} = gated(role, {clock: new ManualClock()});
    const given: number[] = [];
    for (let i = 0; i < 5; i += 1) void send(carrier, block).then(() => given.push(i));
    await turn();
    await socket.receive(to(role, {opcode: 3}));
    expect(given).toEqual([1, 2, 3, 4]);
    await socket.takeOne();
    await socket.takeOne();
    await socket.receive(null);
    expect(await log.closed()).toMatchObject({code: 'PROTOCOL'});
    expect(socket.written.slice(1)).toEqual([close(1002, 'opcode 3')]);
    expect(given).toEqual([1, 2, 3, 4, 0]);
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

test.for(roles)(
  '%s: a paused carrier holds its peer back, from the first byte on, and continues where it stopped',
  async (role, {scope}) => {
    const pair = await carrierPair(scope);
    const [reading, writing] = role === 'agent' ? [pair.agent, pair.relay] : [pair.relay, pair.agent];
    const log = listenTo(reading);
    listenTo(writing);
    log.onPiece = () => reading.pause();
    const chunk = Buffer.alloc(1024 * 1024, 'x');
    let given = 0;
    // More than all buffers of both sockets together.
    const count = 32;
    for (let i = 0; i < count; i += 1) void send(writing, chunk).then(() => (given += 1));
    let paused = 0;
    while (log.bytes < count * chunk.length) {
      await log.until(() => log.bytes > paused);
      if (paused === 0) expect(given).toBeLessThan(count);
      paused = log.bytes;
      reading.resume();
    }
    expect(log.data.equals(Buffer.alloc(count * chunk.length, 'x'))).toBe(true);
    await expect.poll(() => given).toBe(count);
  },
);
