import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {FrameReader} from '../../../src/lib/mux/frame-reader.js';
import {FRAME, frameLimit, LIMITS} from '../../../src/lib/protocol/wire.js';
import {pieces, sizes} from '../../mux/pieces.js';
import {control, credit, data, fin, frame, open, opened, refused, reset} from '../../mux/wire-bytes.js';

type Heard =
  | {data: number; length: number; got: string}
  | {frame: number; streamId: number; payload: string}
  | {violation: string};

/** The events for these bytes. Data of even streams is not wanted. */
function hear(bytes: Buffer, cuts: readonly number[] = []): Heard[] {
  const heard: Heard[] = [];
  const reader = new FrameReader({
    onDataStart(streamId, length) {
      heard.push({data: streamId, length, got: ''});
      return streamId % 2 === 1;
    },
    onData(piece) {
      expect(piece.length).toBeGreaterThan(0);
      const last = heard.at(-1);
      if (last === undefined || !('got' in last)) return expect.unreachable();
      last.got += piece.toString('latin1');
    },
    onFrame: (type, streamId, payload) =>
      heard.push({frame: type, streamId, payload: payload.toString('latin1')}),
    onViolation: (violation) => heard.push({violation}),
  });
  for (const piece of pieces(bytes, cuts)) reader.push(piece);
  return heard;
}

const id = fc.oneof(fc.integer({min: 1, max: 9}), fc.integer({min: 1, max: LIMITS.maxStreamId}));
const good = fc.oneof(
  fc.tuple(id, fc.uint8Array({minLength: 1, maxLength: 3_000})).map(([each, bytes]) => data(each, bytes)),
  fc.tuple(id, fc.jsonValue()).map(([each, about]) => open(each, about)),
  id.map(opened),
  id.map((each) => refused(each)),
  id.map((each) => reset(each)),
  id.map(fin),
  fc.tuple(id, fc.nat()).map(([each, bytes]) => credit(each, bytes)),
  fc.jsonValue().map(control),
);

describe('a frame reader', () => {
  test('reports the same events for any cuts', () => {
    fc.assert(
      fc.property(fc.array(good, {maxLength: 20}), sizes, (frames, cuts) => {
        const bytes = Buffer.concat(frames);
        const whole = hear(bytes);
        expect(whole).toHaveLength(frames.length);
        expect(whole.some((each) => 'violation' in each)).toBe(false);
        for (const each of whole) {
          if ('data' in each) expect(each.got.length).toBe(each.data % 2 === 1 ? each.length : 0);
        }
        expect(hear(bytes, cuts)).toEqual(whole);
      }),
    );
  });

  test('reports the same for random bytes, and at most one violation, as the last event', () => {
    const anything = fc.array(fc.oneof(good, fc.uint8Array({maxLength: 40})), {maxLength: 8});
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

  const shortest: Partial<Record<number, number>> = {[FRAME.data]: 1, [FRAME.open]: 1, [FRAME.credit]: 4};

  test.each(Object.entries(FRAME))(
    'accepts a %s frame of every allowed size, and no other',
    (_name, type) => {
      const limit = frameLimit(type) as number;
      const streamId = type === FRAME.control ? 0 : 7;
      const least = shortest[type] ?? 0;
      for (const length of [least, limit]) {
        const payload = Buffer.alloc(length, 0x20);
        const got = payload.toString();
        expect(hear(frame(type, streamId, payload), [4_096])).toEqual([
          type === FRAME.data ? {data: streamId, length, got} : {frame: type, streamId, payload: got},
        ]);
      }
      for (const length of [limit + 1, 0xff_ffff, ...(least > 0 ? [0, least - 1] : [])]) {
        // The header alone is enough: the reader waits for nothing and allocates nothing.
        expect(hear(frame(type, streamId, '', length))).toEqual([
          {violation: `a frame of type ${type} cannot have ${length} bytes`},
        ]);
      }
    },
  );

  test('refuses every type that does not exist', () => {
    const known: number[] = Object.values(FRAME);
    for (let type = 0; type <= 0xff; type += 1) {
      if (known.includes(type)) continue;
      expect(frameLimit(type)).toBeUndefined();
      expect(hear(frame(type, 1, 'x'))).toEqual([{violation: `frame type ${type} does not exist`}]);
    }
  });

  test.each(Object.entries(FRAME))('stream 0 is for control frames alone: %s', (_name, type) => {
    const wrong = type === FRAME.control ? 1 : 0;
    expect(hear(frame(type, wrong, Buffer.alloc(shortest[type] ?? 0)))).toEqual([
      {violation: `a frame of type ${type} cannot be on stream ${wrong}`},
    ]);
  });

  test('reads a stream id of 48 bits', () => {
    fc.assert(
      fc.property(fc.integer({min: 1, max: LIMITS.maxStreamId}), (streamId) => {
        expect(hear(fin(streamId))).toEqual([{frame: FRAME.fin, streamId, payload: ''}]);
      }),
    );
  });

  test('reports nothing after a violation, neither from the same chunk nor from a later one', () => {
    const bytes = Buffer.concat([fin(1), frame(0x7f, 1), fin(1), data(1, 'abc')]);
    const heard: Heard[] = [{frame: FRAME.fin, streamId: 1, payload: ''}, {violation: expect.any(String)}];
    expect(hear(bytes)).toEqual(heard);
    expect(hear(bytes, [1])).toEqual(heard);
  });

  test.each([
    ['in front of a data frame', Buffer.concat([fin(1), data(1, 'abc'), fin(1)])],
    ['in front of a short frame', Buffer.concat([fin(1), control({}), fin(1)])],
  ])('reports nothing after it was stopped %s', (_where, bytes) => {
    let heard = 0;
    const reader = new FrameReader({
      onDataStart: () => expect.unreachable(),
      onData: () => expect.unreachable(),
      onFrame() {
        heard += 1;
        reader.stop();
      },
      onViolation: () => expect.unreachable(),
    });
    reader.push(bytes);
    reader.push(bytes);
    expect(heard).toBe(1);
  });

  test('reports nothing after a data frame stops it at its start', () => {
    const reader: FrameReader = new FrameReader({
      onDataStart() {
        reader.stop();
        return true;
      },
      onData: () => expect.unreachable(),
      onFrame: () => expect.unreachable(),
      onViolation: () => expect.unreachable(),
    });
    reader.push(Buffer.concat([data(1, 'abc'), fin(1)]));
  });

  test('passes on data without a copy', () => {
    const bytes = data(1, Buffer.alloc(LIMITS.dataBytes, 7));
    const seen: Buffer[] = [];
    const reader = new FrameReader({
      onDataStart: () => true,
      onData: (piece) => seen.push(piece),
      onFrame: () => expect.unreachable(),
      onViolation: () => expect.unreachable(),
    });
    reader.push(bytes);
    expect(seen).toHaveLength(1);
    expect(seen[0]?.buffer).toBe(bytes.buffer);
  });
});
