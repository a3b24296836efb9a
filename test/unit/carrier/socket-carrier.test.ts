import {once} from 'node:events';
import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {describe, expect} from 'vitest';
import {SocketCarrier} from '../../../src/lib/carrier/socket-carrier.js';
import {listenTo, send} from '../../helpers/carriers.js';
import {socketPair} from '../../helpers/init.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

async function pair(scope: Scope) {
  const [near, far] = await socketPair(scope);
  return {
    near: new SocketCarrier({socket: near}),
    far: new SocketCarrier({socket: far}),
    sockets: [near, far],
  };
}

/** A socket whose kernel takes each write only when the test says so. */
class GatedSocket extends Duplex {
  readonly written: Buffer[] = [];
  #taken: (() => void) | undefined;

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(bytes);
    this.#taken = done;
  }

  override _writev(chunks: {chunk: Buffer}[], done: () => void): void {
    this.written.push(...chunks.map(({chunk}) => chunk));
    this.#taken = done;
  }

  override _read(): void {}
  setTimeout(): void {}

  async takeOne(): Promise<void> {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
    await turn();
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('a carrier over a socket', () => {
  test('carries bytes in both directions, and gives each block back', async ({scope}) => {
    const {near, far} = await pair(scope);
    const [logNear, logFar] = [listenTo(near), listenTo(far)];
    const sizes = [1, 70_000, 3, 131_000, 2, 300_000];
    const blocks = sizes.map((size, i) => Buffer.alloc(size, i + 1));
    await Promise.all([...blocks.map((block) => send(near, block)), send(far, Buffer.from('back'))]);
    await logFar.received(blocks.reduce((sum, {length}) => sum + length, 0));
    expect(logFar.data.equals(Buffer.concat(blocks))).toBe(true);
    await logNear.received(4);
    expect(near.bufferedBytes).toBe(0);
  });

  test('sends the part of a block between start and end', async ({scope}) => {
    const {near, far} = await pair(scope);
    const log = listenTo(far);
    near.write(Buffer.from('xxyesxx'), 2, 5);
    await log.received(3);
    expect(log.data.toString()).toBe('yes');
  });

  test('says when too much waits, and when it is less', async () => {
    const socket = new GatedSocket();
    const carrier = new SocketCarrier({socket: socket as unknown as Socket, highWaterBytes: 100});
    const log = listenTo(carrier);
    await turn();
    const block = Buffer.alloc(60);
    expect(carrier.write(block, 0, 60)).toBe(true);
    expect(carrier.write(block, 0, 60)).toBe(false);
    expect(carrier.bufferedBytes).toBe(120);
    await socket.takeOne();
    expect(log.drains).toBe(1);
    await socket.takeOne();
    expect(carrier.bufferedBytes).toBe(0);
    expect(log.drains).toBe(1);
  });

  test('pauses: what arrives meanwhile waits', async ({scope}) => {
    const {near, far} = await pair(scope);
    const log = listenTo(far);
    await turn();
    far.pause();
    await send(near, Buffer.alloc(100_000));
    await turn();
    expect(log.bytes).toBe(0);
    far.resume();
    await log.received(100_000);
  });

  test('an orderly end delivers everything first, and closes both sides', async ({scope}) => {
    const {near, far} = await pair(scope);
    const [logNear, logFar] = [listenTo(near), listenTo(far)];
    near.write(Buffer.alloc(3_000_000), 0, 3_000_000);
    near.end();
    await logFar.received(3_000_000);
    // A FIN is the peer's end, whatever it means there.
    expect(await logFar.closed()).toMatchObject({code: 'RELAY_LOST'});
    expect(await logNear.closed()).toBeUndefined();
    expect(near.write(Buffer.alloc(1), 0, 1)).toBe(false);
  });

  test('an end that the peer does not answer is given up', async () => {
    const socket = new GatedSocket();
    const clock = new ManualClock();
    const carrier = new SocketCarrier({socket: socket as unknown as Socket, clock});
    const log = listenTo(carrier);
    await turn();
    carrier.end();
    clock.advance(5_000);
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
  });

  test('destroy gives all blocks back, and is the reason of the close', async () => {
    const socket = new GatedSocket();
    const carrier = new SocketCarrier({socket: socket as unknown as Socket});
    const log = listenTo(carrier);
    const back = [send(carrier, Buffer.alloc(10)), send(carrier, Buffer.alloc(10))];
    const reason = new Error('enough');
    carrier.destroy(reason);
    await Promise.all(back);
    expect(await log.closed()).toBe(reason);
    expect(log.closes).toHaveLength(1);
    await send(carrier, Buffer.alloc(10));
  });

  test('a peer that breaks off is an error, once', async ({scope}) => {
    const {near, sockets} = await pair(scope);
    const log = listenTo(near);
    await turn();
    sockets[1]?.destroy();
    expect(await log.closed()).toMatchObject({code: 'RELAY_LOST'});
    await turn();
    expect(log.closes).toHaveLength(1);
  });

  test('a socket that closed before the start is told at the start', async ({scope}) => {
    const [near] = await socketPair(scope);
    near.destroy();
    await once(near, 'close');
    expect(await listenTo(new SocketCarrier({socket: near})).closed()).toMatchObject({code: 'RELAY_LOST'});
  });
});
