// The lines of the relay to a member, as they come in pieces.

import {expect, test} from 'vitest';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import {MembershipStream} from '../../../src/lib/network/membership-stream.js';
import type {RelayLink} from '../../../src/lib/open-link.js';

async function watch() {
  const ends: unknown[] = [];
  const members: unknown[] = [];
  let unread = 0;
  const stream = {
    sink: undefined as unknown as StreamSink,
    consumed: (bytes: number) => {
      unread -= bytes;
    },
    reset: () => {},
  };
  const link = {
    open: async (_kind: number, _about: object, {onOpen}: {onOpen: (stream: Stream) => void}) =>
      onOpen(stream as unknown as Stream),
  };
  await new MembershipStream({
    link: link as unknown as Pick<RelayLink, 'open'>,
    relay: 'relay.test',
    network: {scope: 'net', network: 'lab'},
    member: undefined,
    signal: new AbortController().signal,
    state: () => ({}),
    onJoined: () => {},
    onMembers: (all) => members.push(all),
    onEnded: (...end) => ends.push(end),
  }).open();
  const push = (text: string) => {
    const piece = Buffer.from(text);
    unread += piece.length;
    stream.sink.onData(piece);
    return piece;
  };
  return {push, members, ends, unread: () => unread};
}

test('a part of a line is copied, and keeps no memory of the carrier', async () => {
  const {push, members, ends, unread} = await watch();
  push('{"memb').fill(0);
  push('ers":[]}\n{"members":').fill(0);
  push('[]}\n');
  expect(members).toEqual([[], []]);
  expect([ends, unread()]).toEqual([[], 0]);
});

test('a line without an end ends the membership', async () => {
  const {push, ends, unread} = await watch();
  for (let sent = 0; sent <= 8 && ends.length === 0; sent += 1) push('x'.repeat(64 * 1024));
  push('y');
  expect(ends).toEqual([['CANCELLED', 'The relay’s line is too long.']]);
  expect(unread()).toBe(0);
});
