import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  MAX_CONTROL_FRAMES,
  MAX_EMPTY_FRAMES,
  MAX_MESSAGE_BYTES,
  type Role,
} from '../../../src/lib/carrier/ws-frames.js';
import {WsReader} from '../../../src/lib/carrier/ws-reader.js';
import {closeBody, type FrameParts, frame} from '../../helpers/ws-bytes.js';

type Heard =
  | {payload: string}
  | {ping: string}
  | {pong: string}
  | {close: number; reason: string}
  | {violation: number; reason: string};

const hex = (bytes: Buffer) => bytes.toString('hex');

/** A reader and its events; adjacent pieces of payload count as one. */
function listen(role: Role, now: () => number = () => 0) {
  const heard: Heard[] = [];
  const reader = new WsReader({
    role,
    now,
    events: {
      onPayload(piece) {
        expect(piece.length).toBeGreaterThan(0);
        const last = heard.at(-1);
        if (last !== undefined && 'payload' in last) last.payload += hex(piece);
        else heard.push({payload: hex(piece)});
      },
      onPing: (payload) => heard.push({ping: hex(payload)}),
      onPong: (payload) => heard.push({pong: hex(payload)}),
      onClose: (close, reason) => heard.push({close, reason}),
      onViolation: ({closeCode, reason}) => heard.push({violation: closeCode, reason}),
    },
  });
  return {reader, heard};
}

/** The events for these bytes in pieces of the given sizes, repeated. */
function hear(role: Role, bytes: Buffer, sizes: readonly number[] = []): Heard[] {
  const {reader, heard} = listen(role);
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1);
    // Copies, because the reader unmasks in place and the same bytes are fed again.
    reader.feed(Buffer.from(bytes.subarray(at, at + size)));
    at += size;
  }
  return heard;
}

const key = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const maskFor = (role: Role, mask: Buffer = key) => (role === 'relay' ? {mask} : {});
const roles: readonly Role[] = ['agent', 'relay'];

describe.each(roles)('the %s reads', (role) => {
  const of = (...frames: FrameParts[]) =>
    Buffer.concat(frames.map((parts) => frame({...maskFor(role), ...parts})));

  test.each([1, 125, 126, 65_535, 65_536, 200_000])('a message of %i bytes', (length) => {
    const payload = Buffer.alloc(length, 'tunl');
    expect(hear(role, of({payload}))).toEqual([{payload: hex(payload)}]);
  });

  test('lengths in longer forms than they need', () => {
    const all = of({payload: 'a', form: 16}, {payload: 'b', form: 64}, {payload: 'c', form: 7});
    expect(hear(role, all)).toEqual([{payload: hex(Buffer.from('abc'))}]);
  });

  test('control frames between the fragments of a message', () => {
    const all = of(
      {payload: 'one', fin: false},
      {opcode: 9, payload: 'ping'},
      {opcode: 0, payload: 'two', fin: false},
      {opcode: 0, payload: '', fin: false},
      {opcode: 10, payload: 'pong'},
      {opcode: 0, payload: 'three'},
      {payload: 'next'},
    );
    expect(hear(role, all)).toEqual([
      {payload: hex(Buffer.from('one'))},
      {ping: hex(Buffer.from('ping'))},
      {payload: hex(Buffer.from('two'))},
      {pong: hex(Buffer.from('pong'))},
      {payload: hex(Buffer.from('threenext'))},
    ]);
  });

  test('empty and full control frames', () => {
    const full = Buffer.alloc(125, 7);
    const all = of({opcode: 9}, {opcode: 10}, {opcode: 9, payload: full});
    expect(hear(role, all)).toEqual([{ping: ''}, {pong: ''}, {ping: hex(full)}]);
  });

  test('a close frame, and nothing after it', () => {
    const all = of(
      {payload: 'x'},
      {opcode: 8, payload: closeBody(1001, 'later')},
      {payload: 'y'},
      {opcode: 3},
    );
    expect(hear(role, all)).toEqual([{payload: '78'}, {close: 1001, reason: 'later'}]);
    expect(hear(role, of({opcode: 8}))).toEqual([{close: 1005, reason: ''}]);
  });

  test.each<[string, number, FrameParts[]]>([
    ['a reserved bit', 1002, [{payload: 'x', rsv: 4}]],
    ['the compression bit of permessage-deflate', 1002, [{payload: 'x', rsv: 4, fin: false}]],
    ['an unknown data opcode', 1002, [{opcode: 3, payload: 'x'}]],
    ['an unknown control opcode', 1002, [{opcode: 11}]],
    ['a text message', 1003, [{opcode: 1, payload: 'hello'}]],
    ['a continuation without a message', 1002, [{opcode: 0, payload: 'x'}]],
    ['a continuation after the last fragment', 1002, [{fin: false}, {opcode: 0}, {opcode: 0}]],
    ['a message within a message', 1002, [{fin: false, payload: 'x'}, {payload: 'y'}]],
    ['a text within a message', 1002, [{fin: false, payload: 'x'}, {opcode: 1}]],
    ['a fragmented ping', 1002, [{opcode: 9, fin: false}]],
    ['a ping of 126 bytes', 1002, [{opcode: 9, payload: Buffer.alloc(126)}]],
    ['a close with a 64-bit length', 1002, [{opcode: 8, form: 64, claims: 2}]],
    ['2^63 bytes', 1009, [{claims: 2n ** 63n}]],
    ['2^64 - 1 bytes', 1009, [{claims: 2n ** 64n - 1n}]],
    ['2^53 bytes', 1009, [{claims: 2n ** 53n}]],
    ['one byte over the cap', 1009, [{claims: MAX_MESSAGE_BYTES + 1}]],
    ['a close of one byte', 1002, [{opcode: 8, payload: Buffer.from([3])}]],
    ['a close code that is never sent', 1002, [{opcode: 8, payload: closeBody(1006)}]],
    ['a close reason that is not UTF-8', 1007, [{opcode: 8, payload: closeBody(1000, Buffer.from([0xff]))}]],
  ])('%s is refused with %i', (_what, code, frames) => {
    const found = hear(role, of(...frames, {payload: 'never'}));
    expect(found.at(-1)).toMatchObject({violation: code});
    expect(JSON.stringify(found)).not.toContain(hex(Buffer.from('never')));
  });

  test('a mask where it is not allowed, and none where it is required', () => {
    const wrong = role === 'relay' ? frame({payload: 'x'}) : frame({payload: 'x', mask: key});
    expect(hear(role, wrong)).toMatchObject([{violation: 1002}]);
  });

  test('a message in fragments that exceed the cap only together', () => {
    const {reader, heard} = listen(role);
    const part = Buffer.alloc(MAX_MESSAGE_BYTES / 4);
    reader.feed(frame({payload: part, fin: false, ...maskFor(role, Buffer.alloc(4))}));
    for (let i = 0; i < 3; i += 1)
      reader.feed(frame({opcode: 0, payload: part, fin: false, ...maskFor(role, Buffer.alloc(4))}));
    expect(heard.some((entry) => 'violation' in entry)).toBe(false);
    reader.feed(frame({opcode: 0, payload: 'x', ...maskFor(role)}));
    expect(heard.at(-1)).toMatchObject({violation: 1009});
  });

  test('any number of messages that are under the cap', () => {
    const {reader, heard} = listen(role);
    const part = Buffer.alloc(1024 * 1024);
    const message = frame({payload: part, ...maskFor(role, Buffer.alloc(4))});
    for (let sent = 0; sent <= MAX_MESSAGE_BYTES; sent += part.length) reader.feed(message);
    expect(heard).toHaveLength(1);
    expect(heard[0]).toHaveProperty('payload');
  });

  test('endless empty fragments stop at the limit', () => {
    const {reader, heard} = listen(role);
    const empty = frame({opcode: 0, fin: false, ...maskFor(role)});
    reader.feed(frame({fin: false, ...maskFor(role)}));
    for (let i = 1; i < MAX_EMPTY_FRAMES; i += 1) reader.feed(Buffer.from(empty));
    expect(heard).toEqual([]);
    reader.feed(Buffer.concat(Array.from({length: 1000}, () => empty)));
    expect(heard).toMatchObject([{violation: 1002}]);
  });

  test('empty frames with payload between them are allowed', () => {
    const all = Array.from({length: 100}, () => [{payload: ''}, {payload: 'x'}]).flat();
    expect(hear(role, of(...all))).toEqual([{payload: '78'.repeat(100)}]);
  });

  test('control frames: keep-alive is allowed for ever, a flood is not', () => {
    let now = 0;
    const {reader, heard} = listen(role, () => now);
    const ping = () => frame({opcode: 9, ...maskFor(role)});
    for (let i = 0; i < 10 * MAX_CONTROL_FRAMES; i += 1, now += 1000) reader.feed(ping());
    expect(heard).toHaveLength(10 * MAX_CONTROL_FRAMES);
    for (let i = 0; i <= MAX_CONTROL_FRAMES; i += 1) reader.feed(ping());
    expect(heard.at(-1)).toMatchObject({violation: 1002});
  });

  test('control frames between data are not counted together', () => {
    const all = Array.from({length: 3 * MAX_CONTROL_FRAMES}, () => [{opcode: 9}, {payload: 'x'}]).flat();
    expect(hear(role, of(...all))).toHaveLength(all.length);
  });

  test('nothing after stop, also from within an event', () => {
    const seen: string[] = [];
    const reader: WsReader = new WsReader({
      role,
      now: () => 0,
      events: {
        onPayload: (piece) => {
          seen.push(piece.toString());
          reader.stop();
        },
        onPing: () => seen.push('ping'),
        onPong: () => seen.push('pong'),
        onClose: () => seen.push('close'),
        onViolation: () => seen.push('violation'),
      },
    });
    reader.feed(of({payload: 'a'}, {payload: 'b'}, {opcode: 9}, {opcode: 3}));
    reader.feed(of({payload: 'c'}));
    expect(seen).toEqual(['a']);
  });

  test('payload is a view of the input, not a copy', () => {
    const bytes = frame({payload: 'x'.repeat(1000), ...maskFor(role, Buffer.alloc(4))});
    const pieces: Buffer[] = [];
    const events = {onPayload: (piece: Buffer) => void pieces.push(piece)};
    const quiet = {onPing() {}, onPong() {}, onClose() {}, onViolation() {}};
    new WsReader({role, now: () => 0, events: {...quiet, ...events}}).feed(bytes);
    expect(pieces).toHaveLength(1);
    expect(pieces[0]?.buffer).toBe(bytes.buffer);
  });
});

describe('any cut gives the same events', () => {
  const byteArray = (maxLength: number) => fc.uint8Array({maxLength}).map((bytes) => Buffer.from(bytes));
  const mask = fc.oneof(
    fc.constant(Buffer.alloc(4)),
    fc.uint8Array({minLength: 4, maxLength: 4}).map((bytes) => Buffer.from(bytes)),
  );
  /** Mostly valid frames, some in the middle of a message, some broken. */
  const anyFrame = fc.record(
    {
      opcode: fc.oneof(
        {weight: 6, arbitrary: fc.constant(2)},
        {weight: 2, arbitrary: fc.constant(0)},
        {weight: 2, arbitrary: fc.constantFrom(9, 10)},
        {weight: 1, arbitrary: fc.constantFrom(8, 1, 3, 11)},
      ),
      fin: fc.oneof({weight: 4, arbitrary: fc.constant(true)}, {weight: 1, arbitrary: fc.constant(false)}),
      rsv: fc.oneof({weight: 20, arbitrary: fc.constant(0)}, {weight: 1, arbitrary: fc.constant(1)}),
      payload: fc.oneof({weight: 8, arbitrary: byteArray(140)}, {weight: 1, arbitrary: byteArray(70_000)}),
      form: fc.constantFrom<(7 | 16 | 64 | undefined)[]>(undefined, undefined, undefined, 16, 64),
      mask,
    },
    {requiredKeys: ['opcode', 'fin', 'rsv', 'payload', 'mask']},
  );
  const cuts = fc.array(fc.oneof(fc.integer({min: 1, max: 20}), fc.integer({min: 1, max: 20_000})), {
    minLength: 1,
    maxLength: 30,
  });

  test.each(roles)('the %s hears the same of any frames', (role) => {
    fc.assert(
      fc.property(fc.array(anyFrame, {maxLength: 12}), cuts, (frames, sizes) => {
        const bytes = Buffer.concat(
          frames.map(({form, mask: own, ...parts}) =>
            frame({...parts, ...(form !== undefined && {form}), ...maskFor(role, own)}),
          ),
        );
        expect(hear(role, bytes, sizes)).toEqual(hear(role, bytes));
      }),
      {numRuns: 300},
    );
  });

  test.each(roles)('the %s hears the same of any bytes, and never throws', (role) => {
    fc.assert(
      fc.property(byteArray(400), cuts, (bytes, sizes) => {
        expect(hear(role, bytes, sizes)).toEqual(hear(role, bytes));
      }),
      {numRuns: 1000},
    );
  });

  test.each(roles)('the %s gets the payload of valid messages whole and in order', (role) => {
    const message = fc.record({parts: fc.array(byteArray(300), {minLength: 1, maxLength: 5}), mask});
    fc.assert(
      fc.property(fc.array(message, {maxLength: 8}), cuts, (messages, sizes) => {
        const bytes = messages.flatMap(({parts, mask: own}) =>
          parts.map((payload, i) =>
            frame({opcode: i === 0 ? 2 : 0, fin: i === parts.length - 1, payload, ...maskFor(role, own)}),
          ),
        );
        const whole = hex(Buffer.concat(messages.flatMap(({parts}) => parts)));
        const heard = hear(role, Buffer.concat(bytes), sizes);
        fc.pre(!heard.some((entry) => 'violation' in entry && entry.reason.includes('empty')));
        expect(heard).toEqual(whole === '' ? [] : [{payload: whole}]);
      }),
      {numRuns: 300},
    );
  });

  test('one byte at a time', () => {
    const bytes = Buffer.concat([
      frame({payload: Buffer.alloc(300, 1), fin: false, mask: key}),
      frame({opcode: 9, payload: 'p', mask: key}),
      frame({opcode: 0, payload: Buffer.alloc(70_000, 2), mask: key}),
      frame({opcode: 8, payload: closeBody(4000, 'ende'), mask: key}),
    ]);
    expect(hear('relay', bytes, [1])).toEqual(hear('relay', bytes));
  });
});
