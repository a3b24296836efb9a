// Bytes that two ends encrypt for each other: every one arrives, and nothing else does, whatever is done to them on the way.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  EncryptedCarrier,
  MAX_RECORD_BYTES,
  RECORD_HEAD_BYTES,
} from '../../../src/lib/carrier/encrypted-carrier.js';
import {RecordKeys, SECRET_BYTES} from '../../../src/lib/carrier/record-keys.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import type {Carrier, CarrierSink} from '../../../src/lib/mux/carrier.js';

const secretOf = (value: number) => Buffer.alloc(SECRET_BYTES, value);
const pool = new BlockPool();

/** The way below: keeps what is written, and brings what the test says. */
class Way implements Carrier {
  readonly label = 'way';
  readonly headroom = 0;
  bufferedBytes = 0;
  sink: CarrierSink | undefined;
  readonly written: Buffer[] = [];
  isPaused = false;
  hasEnded = false;
  error: Error | undefined;
  isDestroyed = false;
  start(sink: CarrierSink): void {
    this.sink = sink;
  }
  write(block: Buffer, start: number, end: number, onWritten?: () => void): boolean {
    this.written.push(Buffer.from(block.subarray(start, end)));
    onWritten?.();
    return true;
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    this.hasEnded = true;
  }
  destroy(error?: Error): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.error = error;
    this.sink?.onClose(error);
  }
}

class Reader implements CarrierSink {
  readonly pieces: Buffer[] = [];
  closes: (Error | undefined)[] = [];
  onPiece: (() => void) | undefined;
  onData(chunk: Buffer): void {
    this.pieces.push(Buffer.from(chunk));
    this.onPiece?.();
  }
  onDrain(): void {}
  onClose(error: Error | undefined): void {
    this.closes.push(error);
  }
  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}

interface EndOptions {
  send?: number;
  receive?: number;
  recordsAKey?: number;
}

function open({send = 1, receive = 2, recordsAKey}: EndOptions = {}) {
  const way = new Way();
  const carrier = new EncryptedCarrier({
    carrier: way,
    pool,
    sendSecret: secretOf(send),
    receiveSecret: secretOf(receive),
    ...(recordsAKey !== undefined && {recordsAKey}),
  });
  const reader = new Reader();
  carrier.start(reader);
  return {way, carrier, reader};
}

/** The other end: its keys are the same, the other way round. */
const openOther = (options: EndOptions = {}) => open({send: 2, receive: 1, ...options});

/** What goes out for these pieces, a record for each. */
function recordsOf(pieces: readonly Buffer[], options?: EndOptions): Buffer[] {
  const {way, carrier} = open(options);
  for (const piece of pieces) carrier.write(piece, 0, piece.length);
  return way.written;
}

function bring(way: Way, bytes: Buffer, cuts: readonly number[] = []): void {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    if (to > from) way.sink?.onData(Buffer.from(bytes.subarray(from, to)));
    from = to;
  }
}

const text = (index: number, length: number) => Buffer.alloc(length, `piece ${index} `);
const lengths = fc.array(fc.oneof(fc.integer({min: 1, max: 200}), fc.integer({min: 1, max: 40_000})), {
  minLength: 1,
  maxLength: 12,
});
const cuts = fc.array(fc.nat(), {maxLength: 20});

describe('encrypted records', () => {
  test('bring every byte in order, however they are cut, also over changes of the key', () => {
    const property = fc.property(lengths, cuts, fc.integer({min: 1, max: 4}), (sizes, at, recordsAKey) => {
      const pieces = sizes.map((size, index) => text(index, size));
      const {way, reader} = openOther({recordsAKey});
      bring(way, Buffer.concat(recordsOf(pieces, {recordsAKey})), at);
      expect(reader.bytes.equals(Buffer.concat(pieces))).toBe(true);
      expect(reader.closes).toEqual([]);
    });
    fc.assert(property, {numRuns: 60});
  });

  test('show nothing of what they carry, and never the same twice', () => {
    const piece = text(1, 500);
    const [first, second] = recordsOf([piece, piece]) as [Buffer, Buffer];
    expect(first.includes('piece 1')).toBe(false);
    expect(first.subarray(RECORD_HEAD_BYTES).equals(second.subarray(RECORD_HEAD_BYTES))).toBe(false);
  });

  test('that are changed in one bit end the link before a byte of them is passed on', () => {
    const property = fc.property(
      lengths,
      cuts,
      fc.nat(),
      fc.integer({min: 0, max: 7}),
      (sizes, at, place, bit) => {
        const pieces = sizes.map((size, index) => text(index, size));
        const records = recordsOf(pieces);
        const wire = Buffer.concat(records);
        const changed = place % wire.length;
        wire[changed] = (wire[changed] as number) ^ (1 << bit);
        const {way, reader} = openOther();
        bring(way, wire, at);
        let whole = 0;
        let passed = 0;
        let isLength = false;
        for (const [index, record] of records.entries()) {
          whole += record.length;
          if (whole > changed) {
            isLength = changed - (whole - record.length) < 4;
            break;
          }
          passed += (pieces[index] as Buffer).length;
        }
        expect(reader.bytes.equals(Buffer.concat(pieces).subarray(0, passed))).toBe(true);
        // A length that has become longer waits for bytes that do not come.
        if (!isLength) expect(reader.closes).toEqual([expect.objectContaining({code: 'RELAY_LOST'})]);
      },
    );
    const behindTheFirst = [[108, 7], [128], 4, 0] as [number[], number[], number, number];
    fc.assert(property, {numRuns: 100, examples: [behindTheFirst]});
  });

  test.for<[string, (records: Buffer[]) => Buffer[], number]>([
    ['left out', ([a, , c]) => [a, c] as Buffer[], 1],
    ['moved', ([a, b, c]) => [a, c, b] as Buffer[], 1],
    ['repeated', ([a, b, c]) => [a, b, b, c] as Buffer[], 2],
    ['repeated later', ([a, b, c]) => [a, b, c, a] as Buffer[], 3],
    ['put in front', ([a, b, c]) => [b, a, c] as Buffer[], 0],
  ])('that are %s end the link', ([, change, whole]) => {
    const pieces = [1, 2, 3].map((index) => text(index, 100));
    const {way, reader} = openOther();
    bring(way, Buffer.concat(change(recordsOf(pieces))));
    expect(reader.pieces).toHaveLength(whole);
    expect(reader.closes).toEqual([expect.objectContaining({code: 'RELAY_LOST'})]);
  });

  test('that come back to their sender are none of the other side', () => {
    const {way, carrier, reader} = open();
    const piece = text(1, 100);
    carrier.write(piece, 0, piece.length);
    bring(way, way.written[0] as Buffer);
    expect(reader.pieces).toEqual([]);
    expect(reader.closes).toHaveLength(1);
  });

  test('of another link are none of this one', () => {
    const {way, reader} = openOther({receive: 3});
    bring(way, Buffer.concat(recordsOf([text(1, 100)])));
    expect(reader.pieces).toEqual([]);
    expect(reader.closes).toHaveLength(1);
  });

  test('that are cut anywhere leave only whole ones, and the end is that of the way', () => {
    fc.assert(
      fc.property(lengths, fc.nat(), (sizes, place) => {
        const pieces = sizes.map((size, index) => text(index, size));
        const records = recordsOf(pieces);
        const wire = Buffer.concat(records);
        const kept = place % wire.length;
        const {way, reader} = openOther();
        bring(way, wire.subarray(0, kept));
        const lost = new Error('the way was cut');
        way.sink?.onClose(lost);
        let at = 0;
        const whole = records.filter(({length}) => {
          at += length;
          return at <= kept;
        }).length;
        expect(reader.bytes.equals(Buffer.concat(pieces.slice(0, whole)))).toBe(true);
        expect(reader.closes).toEqual([lost]);
      }),
      {numRuns: 60},
    );
  });

  test.for<[string, number]>([
    ['of another kind', 0x17000005],
    ['without bytes', 0x80000000],
    ['that are too long', 0x80000000 + MAX_RECORD_BYTES + 1],
  ])('%s end the link at their header', ([, word]) => {
    const head = Buffer.alloc(RECORD_HEAD_BYTES);
    head.writeUInt32BE(word);
    const {way, reader} = openOther();
    bring(way, head);
    expect(way.isDestroyed).toBe(true);
    expect(reader.closes).toHaveLength(1);
  });

  test('are as long as a block allows; longer writes are several', () => {
    const long = text(1, 2 * MAX_RECORD_BYTES + 1);
    const records = recordsOf([long]);
    expect(records.map(({length}) => length - RECORD_HEAD_BYTES)).toEqual([
      MAX_RECORD_BYTES,
      MAX_RECORD_BYTES,
      1,
    ]);
    const {way, reader} = openOther();
    bring(way, Buffer.concat(records), [1, 30, 200_000]);
    expect(reader.bytes.equals(long)).toBe(true);
  });

  test('wait while their reader is paused, in one chunk too, and an end waits behind them', () => {
    const pieces = [1, 2, 3].map((index) => text(index, 100));
    const {way, carrier, reader} = openOther();
    reader.onPiece = () => carrier.pause();
    bring(way, Buffer.concat(recordsOf(pieces)));
    expect(way.isPaused).toBe(true);
    way.sink?.onClose(undefined);
    expect([reader.pieces.length, reader.closes]).toEqual([1, []]);
    carrier.resume();
    expect([reader.pieces.length, reader.closes]).toEqual([2, []]);
    reader.onPiece = undefined;
    carrier.resume();
    expect(reader.bytes.equals(Buffer.concat(pieces))).toBe(true);
    expect(reader.closes).toEqual([undefined]);
  });

  test('a block is free when its write returns, and nothing is written after the end', () => {
    const {way, carrier} = open();
    const piece = text(1, 100);
    let free = 0;
    carrier.write(piece, 0, piece.length, () => (free += 1));
    expect(free).toBe(1);
    carrier.end();
    carrier.write(piece, 0, piece.length, () => (free += 1));
    expect([free, way.written.length, way.hasEnded]).toEqual([2, 1, true]);
  });
});

test('no key has a nonce twice, and the next key has nothing of the one before', () => {
  const keys = new RecordKeys(secretOf(7), 3);
  const seen = new Set<string>();
  const made = new Set<string>();
  for (let n = 0; n < 10; n += 1) {
    const {key, nonce} = keys.next();
    const bytes = key.export().toString('hex');
    made.add(bytes);
    seen.add(`${bytes} ${nonce.toString('hex')}`);
  }
  expect([seen.size, made.size]).toEqual([10, 4]);
});
