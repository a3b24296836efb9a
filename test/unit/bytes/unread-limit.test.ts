// The relay bounds the bytes of all visitors that wait in either direction: those that have stopped moving go first.

import {expect, test} from 'vitest';
import {defaultUnreadLimit, type UnreadHandle, UnreadLimit} from '../../../src/lib/bytes/unread-limit.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const MiB = 2 ** 20;
const LOOK_MS = 1_000;

function setUp(limitBytes: number) {
  const clock = new ManualClock();
  const limit = new UnreadLimit({
    limitBytes,
    clock,
    log: createLogger('test', undefined),
  });
  const cut: string[] = [];
  const visitor = (name: string, unreadBytes: number, heldBytes = 0) => {
    const stream = {bytesIn: unreadBytes, unreadBytes, bytesOut: heldBytes, heldBytes};
    const watched: UnreadHandle = limit.add({
      stream,
      cut: () => {
        cut.push(name);
        limit.delete(watched);
      },
    });
    return {
      /** `bytes` more are read, and as many follow. */
      read: (bytes: number) => {
        stream.bytesIn += bytes;
      },
      /** The peer grants credit for `bytes`, and as many follow. */
      send: (bytes: number) => {
        stream.bytesOut += bytes;
      },
    };
  };
  return {clock, limit, cut, visitor};
}

test('below the limit nobody is cut off, not even visitors that do not move', () => {
  const {clock, cut, visitor, limit} = setUp(10 * MiB);
  for (let i = 0; i < 40; i += 1) visitor(`${i}`, 256 * 1024);
  clock.advance(100 * LOOK_MS);
  expect([cut, limit.full]).toEqual([[], false]);
});

test('above the limit visitors that do not read are cut off, longest idle first, and not more than needed', () => {
  const {clock, cut, visitor, limit} = setUp(10 * MiB);
  const readers = Array.from({length: 20}, (_, i) => visitor(`reader ${i}`, 256 * 1024));
  const pass = (looks: number) => {
    for (let i = 0; i < looks; i += 1) {
      for (const each of readers) each.read(1_000);
      clock.advance(LOOK_MS);
    }
  };
  for (let i = 0; i < 10; i += 1) visitor(`early ${i}`, 256 * 1024);
  pass(3);
  expect(cut).toEqual([]);
  for (let i = 0; i < 20; i += 1) visitor(`late ${i}`, 256 * 1024);
  pass(3);
  // 50 × 256 KiB are 12.5 MiB: ten must go.
  expect(cut.length).toBe(10);
  expect(cut.filter((name) => name.startsWith('reader'))).toEqual([]);
  expect(limit.full).toBe(false);
});

test('a few visitors with grown windows count with all their unread bytes, also when their streams have ended', () => {
  const {clock, cut, visitor} = setUp(10 * MiB);
  for (let i = 0; i < 3; i += 1) visitor(`${i}`, 16 * MiB);
  clock.advance(2 * LOOK_MS);
  expect(cut).toEqual(['0', '1', '2']);
});

test('a new visitor has time until the next check', () => {
  const {clock, cut, visitor} = setUp(MiB);
  for (let i = 0; i < 8; i += 1) visitor(`${i}`, 256 * 1024);
  clock.advance(LOOK_MS);
  expect(cut).toEqual([]);
  clock.advance(LOOK_MS);
  expect(cut.length).toBe(4);
});

test('when all of them read, however slowly, none is cut off, but nobody new gets in until there is room', () => {
  const {clock, cut, visitor, limit} = setUp(MiB);
  const all = Array.from({length: 8}, (_, i) => visitor(`${i}`, 256 * 1024));
  for (let i = 0; i < 5; i += 1) {
    for (const each of all) each.read(1);
    clock.advance(LOOK_MS);
  }
  expect([cut, limit.full]).toEqual([[], true]);
  clock.advance(LOOK_MS);
  expect(cut.length).toBe(4);
  expect(limit.full).toBe(false);
  limit.close();
  expect(clock.pending).toBe(0);
});

test('the limit is a part of the memory of the process, at most 1 GiB', () => {
  expect(defaultUnreadLimit(1024 * MiB, 0)).toBe(256 * MiB);
  expect(defaultUnreadLimit(64 * 1024 * MiB, 0)).toBe(1024 * MiB);
  expect(defaultUnreadLimit(64 * 1024 * MiB, 512 * MiB)).toBe(128 * MiB);
  // The value that Node returns without a limit.
  expect(defaultUnreadLimit(1024 * MiB, 2 ** 64)).toBe(256 * MiB);
});

test('an unread byte counts as the chunk that it keeps, and bytes of the visitor that wait count as well', () => {
  const {clock, visitor, cut} = setUp(10 * MiB);
  for (let i = 0; i < 1_000; i += 1) visitor(`${i}`, 1);
  clock.advance(2 * LOOK_MS);
  // 1,000 × 16 KiB are 15.6 MiB.
  expect(cut.length).toBe(360);
});

test('bytes that wait for credit count, and streams whose peer grants none are cut off', () => {
  const {clock, cut, visitor, limit} = setUp(10 * MiB);
  const senders = Array.from({length: 4}, (_, i) => visitor(`sender ${i}`, 0, MiB));
  for (let i = 0; i < 8; i += 1) visitor(`held ${i}`, 0, MiB);
  for (let i = 0; i < 3; i += 1) {
    for (const each of senders) each.send(1);
    clock.advance(LOOK_MS);
  }
  expect([cut, limit.full]).toEqual([['held 0', 'held 1'], false]);
});

test('a direction that moves does not hide that bytes wait in the other one', () => {
  const {clock, cut, visitor, limit} = setUp(MiB);
  const [deaf, stingy] = [visitor('deaf', MiB), visitor('stingy', 0, MiB)];
  for (let i = 0; i < 3; i += 1) {
    deaf.send(1);
    stingy.read(1);
    clock.advance(LOOK_MS);
  }
  expect([cut.length, limit.full]).toEqual([1, false]);
  visitor('third', 0, MiB);
  for (let i = 0; i < 3; i += 1) {
    deaf.send(1);
    stingy.read(1);
    clock.advance(LOOK_MS);
  }
  expect([...cut].sort()).toEqual(['deaf', 'stingy']);
});

test('a new limit counts from the next look', () => {
  const {clock, cut, visitor, limit} = setUp(10 * MiB);
  for (let i = 0; i < 8; i += 1) visitor(`${i}`, MiB);
  clock.advance(3 * LOOK_MS);
  expect(cut).toEqual([]);
  limit.setLimit(6 * MiB);
  clock.advance(3 * LOOK_MS);
  expect(cut.length).toBe(2);
});

test('a stream that is over counts as long as its bytes are in memory, and may be cut', () => {
  const clock = new ManualClock();
  const limit = new UnreadLimit({limitBytes: MiB, clock, log: createLogger('test', undefined)});
  const over = (unreadBytes: number) => {
    const state = {keeps: true, cut: false};
    const stream = {bytesIn: unreadBytes, unreadBytes, bytesOut: 0, heldBytes: 0};
    const cut = () => {
      state.keeps = false;
      state.cut = true;
    };
    limit.leave(limit.add({stream, cut}), () => state.keeps);
    return state;
  };
  const small = over(MiB / 2);
  clock.advance(3 * LOOK_MS);
  expect([small.cut, limit.full, clock.pending]).toEqual([false, false, 1]);
  const big = over(MiB);
  clock.advance(2 * LOOK_MS);
  expect([small.cut, big.cut, limit.full]).toEqual([true, false, false]);
  big.keeps = false;
  clock.advance(LOOK_MS);
  expect(clock.pending).toBe(0);
});
