// Visitors that are ended because they move no bytes: after a time, or to make room for others.

import {expect, test} from 'vitest';
import {sourceOf} from '../../../../src/lib/net/source-of.js';
import {VisitorWatch, type Watched} from '../../../../src/lib/relay/doors/visitor-watch.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const peerOf = (address: string) => ({address, port: 1, source: sourceOf(address)});

function setUp({idleTimeoutMs, trusted}: {idleTimeoutMs?: number; trusted?: string} = {}) {
  const clock = new ManualClock();
  const watch = new VisitorWatch({clock, idleTimeoutMs, isTrusted: (address) => address === trusted});
  const cuts: string[] = [];
  const visitor = (name: string, address: string) => {
    const stream = {bytesIn: 0, bytesOut: 0};
    const watched: Watched = watch.add({
      stream,
      peer: peerOf(address),
      cut: (code: string) => {
        cuts.push(`${name} ${code}`);
        watch.delete(watched);
      },
    });
    return stream;
  };
  return {clock, watch, cuts, visitor};
}

const A = '203.0.113.1';
const B = '203.0.113.2';

test('a visitor that moves no byte in either direction for the given time is ended', () => {
  const {clock, cuts, visitor} = setUp({idleTimeoutMs: 5_000});
  visitor('silent', A);
  const asking = visitor('asking', A);
  const hearing = visitor('hearing', B);
  for (let second = 0; second < 20; second++) {
    asking.bytesOut += 1;
    if (second % 4 === 0) hearing.bytesIn += 1;
    clock.advance(1_000);
  }
  expect(cuts).toEqual(['silent VISITOR_IDLE']);
});

test('without such a time visitors may be silent for ever', () => {
  const {clock, cuts, visitor} = setUp();
  visitor('silent', A);
  clock.advance(86_400_000);
  expect(cuts).toEqual([]);
});

test('when there is no room, the longest idle of the heaviest source makes room for a lighter one', () => {
  const {clock, watch, cuts, visitor} = setUp();
  visitor('other', B);
  const streams = Array.from({length: 20}, (_, i) => visitor(`a${i}`, A));
  clock.advance(1_000);
  for (const [i, stream] of streams.entries()) if (i !== 7) stream.bytesIn += 1;
  clock.advance(1_000);
  expect(watch.makeRoom(peerOf('203.0.113.3'))).toBe(true);
  expect(cuts).toEqual(['a7 VISITOR_IDLE']);
  // The others all move: one of the heaviest has to go nevertheless.
  for (const stream of streams) stream.bytesIn += 1;
  expect(watch.makeRoom(peerOf(B))).toBe(true);
  expect(cuts).toHaveLength(2);
  expect(cuts.at(-1)).not.toContain('other');
});

test('a source that fills the relay gains nothing by coming again: its own visitors stay, unless long silent', () => {
  const {clock, watch, cuts, visitor} = setUp();
  const streams = Array.from({length: 20}, (_, i) => visitor(`a${i}`, A));
  clock.advance(59_000);
  expect(watch.makeRoom(peerOf(A))).toBe(false);
  for (const [i, stream] of streams.entries()) if (i !== 3) stream.bytesOut += 1;
  clock.advance(1_000);
  expect(watch.makeRoom(peerOf(A))).toBe(true);
  expect(watch.makeRoom(peerOf(A))).toBe(false);
  expect(cuts).toEqual(['a3 VISITOR_IDLE']);
});

test('no visitor makes room for a source that has nearly as many, nor early behind a trusted address', () => {
  const {watch, cuts, visitor} = setUp();
  for (let i = 0; i < 6; i++) visitor(`a${i}`, A);
  for (let i = 0; i < 3; i++) visitor(`b${i}`, B);
  expect(watch.makeRoom(peerOf(B))).toBe(false);
  const behindOne = setUp({trusted: A});
  for (let i = 0; i < 20; i++) behindOne.visitor(`a${i}`, A);
  expect(behindOne.watch.makeRoom(peerOf(B))).toBe(false);
  behindOne.clock.advance(60_000);
  expect(behindOne.watch.makeRoom(peerOf(B))).toBe(true);
  expect(cuts).toEqual([]);
});

test('without visitors none can make room; after the close there is no timer', () => {
  const {clock, watch} = setUp();
  expect(watch.makeRoom(peerOf(A))).toBe(false);
  watch.close();
  expect(clock.pending).toBe(0);
});
