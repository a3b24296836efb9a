import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {RecordReader} from '../../../src/lib/mux/record-reader.js';
import {LIMITS, RECORD, recordLimit} from '../../../src/lib/protocol/wire.js';
import {pieces, sizes} from '../../mux/pieces.js';
import {ack, count, message, ping, pong, record} from '../../mux/wire-bytes.js';

type Heard = {segment: string} | {record: number; payload: string} | {violation: string};

/** The events for these bytes; adjacent pieces of segments count as one. */
function hear(bytes: Buffer, cuts: readonly number[] = []): Heard[] {
  const heard: Heard[] = [];
  const reader = new RecordReader({
    onSegmentBytes(piece) {
      expect(piece.length).toBeGreaterThan(0);
      const last = heard.at(-1);
      if (last !== undefined && 'segment' in last) last.segment += piece.toString('latin1');
      else heard.push({segment: piece.toString('latin1')});
    },
    onRecord: (type, payload) => heard.push({record: type, payload: payload.toString('latin1')}),
    onViolation: (violation) => heard.push({violation}),
  });
  for (const piece of pieces(bytes, cuts)) reader.push(piece);
  return heard;
}

const good = fc.oneof(
  fc.uint8Array({minLength: 1, maxLength: 3_000}).map((bytes) => record(RECORD.segment, bytes)),
  fc.nat().map(ack),
  fc.nat().map(ping),
  fc.nat().map(pong),
  fc.jsonValue().map(message),
);

describe('a record reader', () => {
  test('reports the same events for any cuts', () => {
    fc.assert(
      fc.property(fc.array(good, {maxLength: 20}), sizes, (records, cuts) => {
        const bytes = Buffer.concat(records);
        const whole = hear(bytes);
        expect(whole.every((each) => !('violation' in each))).toBe(true);
        expect(hear(bytes, cuts)).toEqual(whole);
      }),
    );
  });

  test('reports the same for random bytes, and at most one violation, as the last event', () => {
    const anything = fc.array(fc.oneof(good, fc.uint8Array({maxLength: 30})), {maxLength: 8});
    fc.assert(
      fc.property(anything, sizes, (parts, cuts) => {
        const bytes = Buffer.concat(parts);
        const whole = hear(bytes);
        expect(whole.findIndex((each) => 'violation' in each)).toBeOneOf([-1, whole.length - 1]);
        expect(hear(bytes, cuts)).toEqual(whole);
      }),
      {numRuns: 500},
    );
  });

  test.each(Object.entries(RECORD))(
    'accepts a %s of every size up to its limit and none beyond',
    (_name, type) => {
      const limit = recordLimit(type) as number;
      const exact = type === RECORD.ack || type === RECORD.ping || type === RECORD.pong;
      const payload = (length: number) => Buffer.alloc(length, 0x20);
      expect(hear(record(type, payload(limit)), [4_096])).toEqual([
        type === RECORD.segment
          ? {segment: payload(limit).toString()}
          : {record: type, payload: payload(limit).toString()},
      ]);
      for (const length of exact ? [0, 1, limit - 1, limit + 1] : [0, limit + 1, 0xff_ffff]) {
        // The header alone is enough: the reader waits for nothing and allocates nothing.
        expect(hear(record(type, '', length))).toEqual([
          {violation: `a record of type ${type} cannot have ${length} bytes`},
        ]);
      }
    },
  );

  test('refuses every type that does not exist', () => {
    const known: number[] = Object.values(RECORD);
    for (let type = 0; type <= 0xff; type += 1) {
      if (known.includes(type)) continue;
      expect(recordLimit(type)).toBeUndefined();
      expect(hear(record(type, 'x'))).toEqual([{violation: `record type ${type} does not exist`}]);
    }
  });

  test('reports nothing after a violation, neither from the same chunk nor from a later one', () => {
    const bytes = Buffer.concat([ping(), record(0x7f, 'x'), ping(), ack(1)]);
    const heard: Heard[] = [
      {record: RECORD.ping, payload: count(1).toString('latin1')},
      {violation: expect.any(String)},
    ];
    expect(hear(bytes)).toEqual(heard);
    expect(hear(bytes, [1])).toEqual(heard);
  });

  test('reports nothing after it was stopped, not even from the current chunk', () => {
    let heard = 0;
    const reader = new RecordReader({
      onSegmentBytes: () => expect.unreachable(),
      onRecord() {
        heard += 1;
        reader.stop();
      },
      onViolation: () => expect.unreachable(),
    });
    reader.push(Buffer.concat([ping(), ping(), record(0xff)]));
    reader.push(ping());
    expect(heard).toBe(1);
  });

  test('passes on session bytes without a copy', () => {
    const bytes = record(RECORD.segment, Buffer.alloc(LIMITS.segmentBytes, 7));
    const seen: Buffer[] = [];
    const reader = new RecordReader({
      onSegmentBytes: (piece) => seen.push(piece),
      onRecord: () => expect.unreachable(),
      onViolation: () => expect.unreachable(),
    });
    reader.push(bytes);
    expect(seen).toHaveLength(1);
    expect(seen[0]?.buffer).toBe(bytes.buffer);
  });
});
