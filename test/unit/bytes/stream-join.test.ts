// Two streams of two sessions as one: every byte, end, refusal and reset passes, in both directions, also over links that are cut.

import {createHash, randomBytes} from 'node:crypto';
import {expect, test} from 'vitest';
import {Rate} from '../../../src/lib/bytes/pace.js';
import {StreamJoin} from '../../../src/lib/bytes/stream-join.js';
import {UnreadLimit} from '../../../src/lib/bytes/unread-limit.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {KIND, LIMITS} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {MEMORY} from '../../mux/fabrics.js';
import {Net} from '../../mux/net.js';

/** One end: writes what it is told as far as it may, and keeps what comes. */
class End {
  readonly stream: Stream;
  received = 0;
  unread = 0;
  reads = true;
  opened = false;
  ended = false;
  reset: string | undefined;
  message: string | undefined;
  closed = false;
  readonly #hash = createHash('sha256');
  readonly #sent = createHash('sha256');
  #owed: Buffer[] = [];
  #endsThen = false;
  #go: boolean;

  constructor(stream: Stream, go: boolean) {
    this.stream = stream;
    this.#go = go;
    stream.sink = {
      onData: (piece) => {
        this.#hash.update(piece);
        this.received += piece.length;
        this.unread += piece.length;
        if (this.reads) this.consume();
      },
      onEnd: () => {
        this.ended = true;
      },
      onWritable: () => {
        this.#go = true;
        this.#pump();
      },
      onOpened: () => {
        this.opened = true;
      },
      onReset: (code, message) => {
        this.reset = code;
        this.message = message;
      },
      onClosed: () => {
        this.closed = true;
      },
    };
  }

  accept(): void {
    this.stream.accept();
    this.#go = true;
    this.#pump();
  }

  write(bytes: Buffer): void {
    this.#owed.push(bytes);
    this.#pump();
  }

  end(): void {
    this.#endsThen = true;
    this.#pump();
  }

  consume(): void {
    const bytes = this.unread;
    this.unread = 0;
    this.stream.consumed(bytes);
  }

  get owed(): number {
    return this.#owed.length;
  }

  hashes(): {got: string; sent: string} {
    return {got: this.#hash.copy().digest('hex'), sent: this.#sent.copy().digest('hex')};
  }

  #pump(): void {
    while (this.#go) {
      const piece = this.#owed.shift();
      if (piece === undefined) break;
      this.#sent.update(piece);
      this.#go = this.stream.write(piece);
    }
    if (this.#owed.length === 0 && this.#endsThen) this.stream.end();
  }
}

/** The bytes that wait in both directions of a join. */
function waitingIn(join: StreamJoin, of: 'both' | 'to'): {unread: number; held: number} {
  const streams = join.unread(of).map(({stream}) => stream);
  return {
    unread: streams.reduce((sum, {unreadBytes}) => sum + unreadBytes, 0),
    held: streams.reduce((sum, {heldBytes}) => sum + heldBytes, 0),
  };
}

/** Agents `left` and `right` with sessions at one relay, which joins the streams of the left one with streams to the right one. */
class Pair implements AsyncDisposable {
  readonly left: Net;
  readonly right: Net;
  readonly joins: StreamJoin[] = [];
  readonly far: End[] = [];
  rates: readonly Rate[] = [];

  constructor(left: Net, right: Net) {
    this.left = left;
    this.right = right;
  }

  static async open(connects = true): Promise<Pair> {
    const pair: Pair = new Pair(
      await Net.linked(MEMORY, {
        onOpen: (_side, from) => {
          const join = new StreamJoin({from, absentCode: 'MEMBER_UNKNOWN'});
          pair.joins.push(join);
          if (connects) pair.connect(join);
        },
      }),
      await Net.linked(MEMORY, {onOpen: (_side, stream) => void pair.far.push(new End(stream, false))}),
    );
    return pair;
  }

  connect(join: StreamJoin): void {
    join.connect(this.right.peers.session('relay').open(KIND.member, {}) as Stream, this.rates);
  }

  near(): End {
    return new End(this.left.peers.session('agent').open(KIND.member, {}) as Stream, true);
  }

  /** Both sides move until this holds. */
  async until(holds: () => boolean, what: string): Promise<void> {
    await this.left.until(
      () => {
        if (holds()) return true;
        void this.right.goOn();
        this.right.clock.advance(1);
        return false;
      },
      what,
      () => this.progress(),
    );
  }

  progress = (): string => this.far.map(({received}) => received).join();

  /** An open stream from the left agent to the right one. */
  async joined(): Promise<{near: End; far: End; join: StreamJoin}> {
    const before = this.far.length;
    const near = this.near();
    await this.until(() => this.far.length > before, 'an open');
    const far = this.far.at(-1) as End;
    far.accept();
    await this.until(() => near.opened, 'the answer');
    return {near, far, join: this.joins.at(-1) as StreamJoin};
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.left[Symbol.asyncDispose]();
    await this.right[Symbol.asyncDispose]();
  }
}

test('bytes and ends pass in both directions, while both links are cut again and again', async () => {
  await using pair = await Pair.open();
  const near = pair.near();
  // The first bytes come before the answer.
  near.write(Buffer.from('hello'));
  await pair.until(() => pair.far[0]?.received === 5, 'the first bytes');
  const far = pair.far[0] as End;
  expect(near.opened).toBe(false);
  far.accept();
  const pieces = (count: number) =>
    Array.from({length: count}, (_, at) => randomBytes(1 + ((at * 7_919) % 120_000)));
  for (const piece of pieces(60)) near.write(piece);
  for (const piece of pieces(50)) far.write(piece);
  near.end();
  let cuts = 0;
  pair.progress = () => {
    const moved = near.received + far.received;
    if (moved > (cuts + 1) * 700_000) {
      cuts += 1;
      const net = cuts % 2 === 0 ? pair.left : pair.right;
      net.carriers?.agent.destroy();
    }
    return `${moved}`;
  };
  await pair.until(() => far.ended && far.owed === 0, 'the end of one direction');
  expect(near.ended).toBe(false);
  far.write(Buffer.from('the last bytes'));
  far.end();
  await pair.until(() => near.closed && far.closed, 'both ends');
  expect(cuts).toBeGreaterThan(4);
  expect(far.hashes().got).toBe(near.hashes().sent);
  expect(near.hashes().got).toBe(far.hashes().sent);
  expect(pair.joins[0]?.over).toBe(true);
});

test('a reader that stops also stops the writer, and holds up no other stream', async () => {
  await using pair = await Pair.open();
  const {near, far, join} = await pair.joined();
  const other = await pair.joined();
  far.reads = false;
  const megabyte = Buffer.alloc(1024 * 1024);
  for (let i = 0; i < 8; i += 1) near.write(megabyte);
  let before = -1;
  await pair.until(() => {
    const still = before === near.stream.bytesOut - near.stream.heldBytes + far.received;
    before = near.stream.bytesOut - near.stream.heldBytes + far.received;
    return still && far.received === LIMITS.initialWindow;
  }, 'a stop');
  // One window is unread at the reader, and at most one waits at the relay.
  const {unread, held} = waitingIn(join, 'both');
  expect(unread).toBeGreaterThan(0);
  expect(unread).toBeLessThanOrEqual(LIMITS.initialWindow);
  expect(waitingIn(join, 'to').unread).toBe(0);
  expect(held).toBe(0);
  other.near.write(Buffer.from('quick'));
  await pair.until(() => other.far.received === 5, 'the other stream');
  far.reads = true;
  far.consume();
  near.end();
  await pair.until(() => far.ended, 'the end');
  expect(far.hashes().got).toBe(near.hashes().sent);
});

test('a reader that stops is cut off when memory is short, also while it writes', async () => {
  await using pair = await Pair.open();
  const {near, far, join} = await pair.joined();
  const clock = new ManualClock();
  const limit = new UnreadLimit({limitBytes: 50_000, clock, log: createLogger('test', undefined)});
  for (const holder of join.unread('both')) limit.add(holder);
  far.reads = false;
  near.write(Buffer.alloc(LIMITS.initialWindow + 100_000));
  await pair.until(() => waitingIn(join, 'both').unread === 100_000, 'a full window');
  for (let looks = 1; looks <= 2; looks += 1) {
    far.write(Buffer.from('x'));
    await pair.until(() => near.received === looks, 'a byte of the reader');
    clock.advance(1_000);
  }
  expect([join.over, limit.full]).toEqual([true, false]);
  limit.close();
  await pair.until(() => near.reset === 'TOO_MUCH_UNREAD' && far.reset === 'TOO_MUCH_UNREAD', 'the reset');
});

test('a refusal passes with its message', async () => {
  await using pair = await Pair.open();
  const near = pair.near();
  await pair.until(() => pair.far.length > 0, 'an open');
  pair.far[0]?.stream.refuse('UPSTREAM_REFUSED', 'nobody listens');
  await pair.until(() => near.reset !== undefined, 'the refusal');
  expect([near.reset, near.message, near.opened]).toEqual(['UPSTREAM_REFUSED', 'nobody listens', false]);
});

test('an opener that gives up before the join and after it ends the other side', async () => {
  await using pair = await Pair.open(false);
  const early = pair.near();
  await pair.until(() => pair.joins.length === 1, 'an open');
  early.stream.reset('CANCELLED');
  await pair.until(() => pair.joins[0]?.over === true, 'the reset');
  pair.connect(pair.joins[0] as StreamJoin);
  const late = pair.near();
  await pair.until(() => pair.joins.length === 2, 'an open');
  pair.connect(pair.joins[1] as StreamJoin);
  await pair.until(() => pair.far.length > 0, 'the other stream');
  late.stream.reset('CANCELLED');
  await pair.until(() => pair.far.every(({reset}) => reset === 'CANCELLED'), 'the reset');
});

test.each(['near', 'far'] as const)(
  'everything that came before a broken connection arrives: %s',
  async (which) => {
    await using pair = await Pair.open();
    const both = await pair.joined();
    const [writer, reader] = which === 'near' ? [both.near, both.far] : [both.far, both.near];
    reader.reads = false;
    const bytes = LIMITS.initialWindow + 100_000;
    writer.write(randomBytes(bytes));
    await pair.until(
      () => reader.received === LIMITS.initialWindow && waitingIn(both.join, 'both').unread === 100_000,
      'a full window',
    );
    writer.stream.resetAfterData(which === 'near' ? 'VISITOR_RESET' : 'UPSTREAM_RESET');
    await pair.until(
      () => waitingIn(both.join, 'to').unread >= 0 && writer.stream.state === 'closed',
      'the reset',
    );
    expect(reader.reset).toBeUndefined();
    reader.reads = true;
    reader.consume();
    await pair.until(() => reader.reset !== undefined, 'the reset at the other end');
    expect(reader.received).toBe(bytes);
    expect(reader.reset).toBe(which === 'near' ? 'VISITOR_RESET' : 'UPSTREAM_RESET');
    expect(both.join.over).toBe(true);
  },
);

test('any other reset passes at once', async () => {
  await using pair = await Pair.open();
  const {near, far} = await pair.joined();
  far.stream.reset('TOO_MUCH_UNREAD');
  await pair.until(() => near.reset !== undefined, 'the reset');
  expect(near.reset).toBe('TOO_MUCH_UNREAD');
});

test('the end of a session is a refusal before the answer, and a broken connection after it', async () => {
  await using pair = await Pair.open();
  const waiting = pair.near();
  await pair.until(() => pair.far.length > 0, 'an open');
  const {near} = await pair.joined();
  pair.right.peers.session('relay').close();
  await pair.until(() => near.reset !== undefined && waiting.reset !== undefined, 'the ends');
  expect([waiting.reset, near.reset]).toEqual(['MEMBER_UNKNOWN', 'UPSTREAM_RESET']);
});

test('the end of the opener’s session is a broken connection for the other side', async () => {
  await using pair = await Pair.open();
  const {far} = await pair.joined();
  pair.left.peers.session('relay').close();
  await pair.right.until(() => far.reset !== undefined, 'the end');
  expect(far.reset).toBe('VISITOR_RESET');
});

test('a cut tells both ends', async () => {
  await using pair = await Pair.open();
  const {near, far, join} = await pair.joined();
  join.unread('both')[0]?.cut();
  await pair.until(() => near.reset !== undefined && far.reset !== undefined, 'the resets');
  expect([near.reset, far.reset]).toEqual(['TOO_MUCH_UNREAD', 'TOO_MUCH_UNREAD']);
});

test.each(['near', 'far'] as const)(
  'with a limit of bandwidth the bytes of all joins come in its time, all of them, then the reset: %s',
  async (which) => {
    await using pair = await Pair.open();
    const clock = new ManualClock();
    const bytesPerSecond = 200_000;
    pair.rates = [new Rate({clock, bytesPerSecond: () => bytesPerSecond})];
    const bytes = 300_000;
    const ways = [await pair.joined(), await pair.joined()].map(({near, far, join}) => {
      const [writer, reader] = which === 'near' ? [near, far] : [far, near];
      writer.write(randomBytes(bytes));
      writer.stream.resetAfterData(which === 'near' ? 'VISITOR_RESET' : 'UPSTREAM_RESET');
      return {writer, reader, join};
    });
    const received = () => ways.reduce((sum, {reader}) => sum + reader.received, 0);
    pair.progress = () => `${received()} ${clock.now()}`;
    let most = 0;
    await pair.until(() => {
      clock.advance(20);
      // A piece that has begun is not divided, and the burst is that of 50 ms.
      most = Math.max(most, received() - (bytesPerSecond * (clock.now() + 50)) / 1_000);
      return ways.every(({reader}) => reader.reset !== undefined);
    }, 'the resets');
    expect(most).toBeLessThanOrEqual(LIMITS.dataBytes);
    expect(clock.now()).toBeGreaterThan(2_500);
    for (const {writer, reader, join} of ways) {
      expect(reader.hashes().got).toBe(writer.hashes().sent);
      expect(join.over).toBe(true);
    }
    expect(clock.pending).toBe(0);
  },
);

test('a join that waits for its turn leaves the line when it is cut', async () => {
  await using pair = await Pair.open();
  const clock = new ManualClock();
  const rate = new Rate({clock, bytesPerSecond: () => 10_000});
  pair.rates = [rate];
  const {near, join} = await pair.joined();
  near.write(Buffer.alloc(200_000));
  await pair.until(() => rate.busy, 'the limit');
  join.cut('DRAINING');
  expect([rate.busy, clock.pending]).toEqual([false, 0]);
});
