// How often a member asks the relay to let it in.

import {expect, test} from 'vitest';
import {createLogger} from '../../../src/lib/core/logger.js';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import {JoinLoop} from '../../../src/lib/network/join-loop.js';
import {ephemeralMemberKey} from '../../../src/lib/network/member-key.js';
import type {RelayLink} from '../../../src/lib/open-link.js';
import {memberAddress} from '../../../src/lib/protocol/network-messages.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const network = {scope: 'net', network: 'lab'} as const;

/** A relay that takes each stream, and then answers as the test says. */
function relay() {
  const clock = new ManualClock();
  const key = ephemeralMemberKey();
  const opened: {at: number; stream: {sink: StreamSink}}[] = [];
  const link = {
    onSession: () => () => {},
    async open(_kind: number, _about: object, {onOpen}: {onOpen: (stream: Stream) => void}) {
      const stream = {sink: {} as StreamSink, consumed: () => {}, reset: () => {}, write: () => true};
      opened.push({at: clock.now(), stream});
      onOpen(stream as unknown as Stream);
    },
  };
  const loop = new JoinLoop({
    link: link as unknown as Pick<RelayLink, 'open' | 'onSession'>,
    relay: 'relay.test',
    network,
    member: {name: 'a', key, accepts: true},
    clock,
    log: createLogger('test', undefined),
    state: () => ({}),
    onMembers: () => {},
    onLost: () => {},
    onRefused: () => {},
  });
  /** Answers the last attempt, and waits for the next one. Returns the wait before it, ms. */
  const answer = async (lines: string): Promise<number> => {
    await new Promise(setImmediate);
    const last = opened.at(-1);
    const count = opened.length;
    last?.stream.sink.onData(Buffer.from(lines));
    last?.stream.sink.onReset('TOO_MANY_STREAMS', 'There are too many.');
    for (let ms = 0; opened.length === count && ms < 10_000; ms += 100) {
      clock.advance(100);
      await new Promise(setImmediate);
    }
    return (opened.at(-1)?.at ?? 0) - (last?.at ?? 0);
  };
  const address = memberAddress('relay.test', network, key.raw);
  const joined = {joined: {prefix: 'fdaa::/48', address, serial: 1}};
  return {answer, close: () => loop.close(), joined: `${JSON.stringify(joined)}\n`};
}

test('a member that the relay does not let in waits longer each time, and not after it has been in', async () => {
  const {answer, joined, close} = relay();
  const waits: number[] = [];
  for (const lines of ['', '', '', '', '', '', '', joined, '']) waits.push(await answer(lines));
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_000, 3_000, 100, 200]);
  close();
});
