// What visitors leave unread is bounded for the whole relay: who has stopped reading goes first, who reads on stays.

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
  const visitor = (name: string, unreadBytes: number) => {
    const stream = {bytesIn: unreadBytes, unreadBytes, heldBytes: 0};
    const watched: UnreadHandle = limit.add({
      stream,
      cut: () => {
        cut.push(name);
        limit.delete(watched);
      },
    });
    return {
      /** `bytes` more are read, and as many come after them. */
      read: (bytes: number) => {
        stream.bytesIn += bytes;
      },
    };
  };
  return {clock, limit, cut, visitor};
}

test('below the limit nobody is looked at twice, however still they stand', () => {
  const {clock, cut, visitor, limit} = setUp(10 * MiB);
  for (let i = 0; i < 40; i += 1) visitor(`${i}`, 256 * 1024);
  clock.advance(100 * LOOK_MS);
  expect([cut, limit.full]).toEqual([[], false]);
});

test('above it those who do not read are cut off, longest standing first, and no more of them than needed', () => {
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
  // 50 × 256 KiB are 12.5 MiB: ten have to go.
  expect(cut.length).toBe(10);
  expect(cut.filter((name) => name.startsWith('reader'))).toEqual([]);
  expect(limit.full).toBe(false);
});

test('a few whose windows had grown count with all that they left, also when their streams have ended since', () => {
  const {clock, cut, visitor} = setUp(10 * MiB);
  for (let i = 0; i < 3; i += 1) visitor(`${i}`, 16 * MiB);
  clock.advance(2 * LOOK_MS);
  expect(cut).toEqual(['0', '1', '2']);
});

test('who has just come is given the time until the next look', () => {
  const {clock, cut, visitor} = setUp(MiB);
  for (let i = 0; i < 8; i += 1) visitor(`${i}`, 256 * 1024);
  clock.advance(LOOK_MS);
  expect(cut).toEqual([]);
  clock.advance(LOOK_MS);
  expect(cut.length).toBe(4);
});

test('where all of them read, however slowly, none is cut off, but nobody new comes in until there is room', () => {
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

test('the limit is a part of what the process may have, and no more than 1 GiB', () => {
  expect(defaultUnreadLimit(1024 * MiB, 0)).toBe(256 * MiB);
  expect(defaultUnreadLimit(64 * 1024 * MiB, 0)).toBe(1024 * MiB);
  expect(defaultUnreadLimit(64 * 1024 * MiB, 512 * MiB)).toBe(128 * MiB);
  // What Node says where nothing is constrained.
  expect(defaultUnreadLimit(1024 * MiB, 2 ** 64)).toBe(256 * MiB);
});

test('a byte that is not read counts as the chunk that it keeps, and what waits of the visitor counts as well', () => {
  const {clock, visitor, cut} = setUp(10 * MiB);
  for (let i = 0; i < 1_000; i += 1) visitor(`${i}`, 1);
  clock.advance(2 * LOOK_MS);
  // 1,000 × 16 KiB are 15.6 MiB.
  expect(cut.length).toBe(360);
});
