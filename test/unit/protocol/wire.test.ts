import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {SUBPROTOCOL_VERSION} from '../../../src/lib/carrier/handshake.js';
import {BLOCK_BYTES} from '../../../src/lib/mux/blocks.js';
import {
  FRAME,
  FRAME_HEADER,
  frameLimit,
  isStreamCode,
  KIND,
  LIMITS,
  PROTOCOL_VERSION,
  RECORD,
  RECORD_HEADER,
  readStreamId,
  recordLimit,
  STREAM_CODES,
  shortestFrame,
  shortestRecord,
  writeFrameHeader,
  writeRecordHeaderBefore,
} from '../../../src/lib/protocol/wire.js';
import {frame, record} from '../../mux/wire-bytes.js';

const length = fc.integer({min: 0, max: 0xff_ffff});
const streamId = fc.oneof(fc.integer({min: 0, max: LIMITS.maxStreamId}), fc.integer({min: 0, max: 2 ** 33}));

describe('headers', () => {
  test('of frames are type, length and a stream id of 48 bits, big-endian', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(FRAME)), streamId, length, (type, id, bytes) => {
        const buffer = Buffer.alloc(FRAME_HEADER + 6, 0x55);
        writeFrameHeader(buffer, 3, type, id, bytes);
        expect(buffer.subarray(3, 3 + FRAME_HEADER)).toEqual(frame(type, id, '', bytes));
        expect(readStreamId(buffer, 3)).toBe(id);
        expect([buffer.subarray(0, 3), buffer.subarray(3 + FRAME_HEADER)]).toEqual([
          Buffer.alloc(3, 0x55),
          Buffer.alloc(3, 0x55),
        ]);
      }),
    );
  });

  test('of records are type and length, and end where the payload begins', () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.values(RECORD)), length, (type, bytes) => {
        const buffer = Buffer.alloc(10, 0x55);
        expect(writeRecordHeaderBefore(buffer, 8, type, bytes)).toBe(8 - RECORD_HEADER);
        expect(buffer.subarray(8 - RECORD_HEADER, 8)).toEqual(record(type, '', bytes));
        expect([buffer.subarray(0, 4), buffer.subarray(8)]).toEqual([
          Buffer.alloc(4, 0x55),
          Buffer.alloc(2, 0x55),
        ]);
      }),
    );
  });
});

describe('the numbers agree with one another', () => {
  test('every type of frame and record has a shortest and a longest payload', () => {
    for (const type of Object.values(FRAME))
      expect(frameLimit(type)).toBeGreaterThanOrEqual(shortestFrame(type));
    for (const type of Object.values(RECORD))
      expect(recordLimit(type)).toBeGreaterThanOrEqual(shortestRecord(type));
  });

  test('no type, kind or code is used twice', () => {
    const lists: (readonly unknown[])[] = [FRAME, RECORD, KIND].map((each) => Object.values(each));
    for (const values of [...lists, STREAM_CODES]) expect(new Set(values).size).toBe(values.length);
    const types: number[] = [...Object.values(FRAME), ...Object.values(RECORD)];
    expect(new Set(types).size).toBe(types.length);
  });

  test('this side never writes more at once than the other accepts', () => {
    expect(BLOCK_BYTES).toBeLessThanOrEqual(LIMITS.segmentBytes);
    expect(BLOCK_BYTES).toBeLessThanOrEqual(LIMITS.dataBytes);
    expect(LIMITS.controlBytes + FRAME_HEADER).toBeLessThanOrEqual(BLOCK_BYTES);
    expect(LIMITS.maxWindow).toBeLessThanOrEqual(LIMITS.maxCredit);
    // Doubling reaches the largest window exactly.
    expect(Math.log2(LIMITS.maxWindow / LIMITS.initialWindow) % 1).toBe(0);
    expect(LIMITS.maxStreamId).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
  });

  test('the sub-protocol and the challenge name the same version', () => {
    expect(SUBPROTOCOL_VERSION).toBe(PROTOCOL_VERSION);
  });
});

test('only the codes of the list are stream codes', () => {
  expect(STREAM_CODES.every(isStreamCode)).toBe(true);
  for (const other of ['', 'constructor', 'CLOSED', 1, null, undefined, ['CANCELLED']])
    expect(isStreamCode(other)).toBe(false);
});
