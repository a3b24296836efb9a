import {describe, expect} from 'vitest';
import {LIMITS} from '../../src/lib/protocol/wire.js';
import {test} from '../helpers/test.js';
import {FABRICS} from './fabrics.js';
import {Net, type NetOptions} from './net.js';
import type {Side, StreamEnd} from './stream-end.js';

const KIB = 1024;
const MIB = 1024 * KIB;

describe.each(FABRICS)('two sessions over $name', (fabric) => {
  const linked = (options: NetOptions = {}) => Net.linked(fabric, options);
  const over = (net: Net, ends: readonly StreamEnd[]) =>
    net.until(
      () => ends.every((end) => end.over),
      'the streams are over',
      () => ends.map((end) => end.describe()).join('\n'),
    );
  const noFaults = (ends: readonly StreamEnd[]) => expect(ends.flatMap((end) => end.faults)).toEqual([]);

  test.for<Side>(['agent', 'relay'])(
    'the %s opens; bytes go both ways, and each way ends by itself',
    async (side) => {
      await using net = await linked();
      const [mine, theirs] = await net.pair(side);
      mine.write(300_000);
      mine.end();
      await net.until(
        () => theirs.remoteEnded,
        'the end of one way',
        () => theirs.describe(),
      );
      expect(theirs.received).toBe(300_000);
      expect([mine.stream.state, theirs.stream.state]).toEqual(['localEnded', 'remoteEnded']);
      theirs.write(3 * MIB);
      await net.until(
        () => mine.received === 3 * MIB,
        'the other way goes on',
        () => mine.describe(),
      );
      expect(mine.remoteEnded).toBe(false);
      theirs.end();
      await over(net, [mine, theirs]);
      expect([mine.closed, theirs.closed, mine.opened]).toEqual([true, true, true]);
      expect([mine.stream.bytesOut, mine.stream.bytesIn]).toEqual([300_000, 3 * MIB]);
      noFaults([mine, theirs]);
      await net.rest();
      expect([net.peers.agent?.streamCount, net.peers.relay?.streamCount]).toEqual([0, 0]);
    },
  );

  test('data and an end that follow the open at once arrive when the stream is accepted', async () => {
    await using net = await linked();
    const mine = net.open('relay');
    mine.write(1_000);
    mine.end();
    const theirs = await net.nextOffered('agent');
    await net.until(
      () => theirs.remoteEnded,
      'the end before the answer',
      () => theirs.describe(),
    );
    expect([theirs.stream.state, theirs.received, mine.opened]).toEqual(['offeredRemoteEnded', 1_000, false]);
    theirs.accept();
    theirs.write(5);
    theirs.end();
    await over(net, [mine, theirs]);
    expect([mine.received, mine.opened]).toEqual([5, true]);
    noFaults([mine, theirs]);
  });

  test('a refusal differs from a reset, and both have their code', async () => {
    await using net = await linked();
    const refused = net.open('relay');
    (await net.nextOffered('agent')).refuse('UPSTREAM_REFUSED');
    const [reset, theirs] = await net.pair('relay');
    reset.write(100_000);
    await net.until(
      () => theirs.received > 0,
      'data',
      () => theirs.describe(),
    );
    theirs.reset('UPSTREAM_RESET');
    await over(net, [refused, reset]);
    expect([refused.resetCode, refused.opened]).toEqual(['UPSTREAM_REFUSED', false]);
    expect([reset.resetCode, reset.opened]).toEqual(['UPSTREAM_RESET', true]);
    noFaults([refused, reset, theirs]);
    await net.rest();
    expect([net.peers.agent?.streamCount, net.peers.relay?.streamCount]).toEqual([0, 0]);
  });

  test('streams beyond the limit are refused with a code, or not opened at all', async () => {
    await using net = await linked({maxStreams: 2});
    const [first] = await net.pair('relay');
    await net.pair('relay');
    expect(net.peers.session('relay').open(1, {})).toBeUndefined();
    const agent = net.peers.session('agent');
    expect(agent.open(1, {})).toBeUndefined();
    first.reset('CANCELLED');
    expect(net.peers.session('relay').open(1, {})).toBeDefined();
  });

  test('a reader that stops uses only its own window, and others are not delayed', async () => {
    await using net = await linked();
    const [stopped, unread] = await net.pair('relay');
    unread.stop();
    stopped.write(8 * MIB);
    const others = await Promise.all(Array.from({length: 10}, () => net.pair('relay')));
    for (const [mine] of others) {
      mine.write(MIB);
      mine.end();
    }
    await net.until(
      () => others.every(([, theirs]) => theirs.received === MIB && theirs.remoteEnded),
      'the others',
      () => others.map(([, theirs]) => theirs.describe()).join('\n'),
    );
    expect(unread.received).toBe(LIMITS.initialWindow);
    expect(unread.stream.unreadBytes).toBe(LIMITS.initialWindow);
    // At the sender: the part of one write that exceeds the window.
    expect(stopped.stream.heldBytes).toBeLessThanOrEqual(16 * KIB);
    expect(stopped.written).toBeLessThanOrEqual(LIMITS.initialWindow + 16 * KIB);
    unread.go();
    await net.until(
      () => unread.received === 8 * MIB,
      'the stopped one',
      () => unread.describe(),
    );
    noFaults([stopped, unread, ...others.flat()]);
  });

  test('many short streams leave nothing behind', async () => {
    await using net = await linked();
    const ends: StreamEnd[] = [];
    for (let i = 0; i < 200; i += 1) {
      const side = i % 2 === 0 ? 'relay' : 'agent';
      const mine = net.open(side);
      mine.write(500);
      mine.end();
      const theirs = await net.nextOffered(side === 'relay' ? 'agent' : 'relay');
      theirs.accept();
      theirs.write(700);
      theirs.end();
      ends.push(mine, theirs);
    }
    await over(net, ends);
    noFaults(ends);
    await net.rest();
    expect([net.peers.agent?.streamCount, net.peers.relay?.streamCount]).toEqual([0, 0]);
    // Only the timers of the link are left: one on each side.
    net.clock.advance(100);
    expect(net.clock.pending).toBeLessThanOrEqual(fabric.name.includes('another session') ? 4 : 2);
  });

  test('control messages and opens arrive in the order in which they were sent', async () => {
    const seen: string[] = [];
    await using net = await linked({
      onControl: (_side, payload) => seen.push(JSON.parse(payload.toString()).n),
      onOpen: (_side, stream, about) => {
        seen.push(JSON.parse(about.toString()).n);
        stream.refuse('CANCELLED');
      },
    });
    const relay = net.peers.session('relay');
    const want = Array.from({length: 50}, (_, n) => n);
    for (const n of want) n % 3 === 0 ? relay.open(1, {n}) : relay.sendControl({n});
    await net.until(
      () => seen.length === want.length,
      'all of them',
      () => seen.join(),
    );
    expect(seen).toEqual(want);
  });

  test('bulk both ways over eight streams while the link breaks twenty times', async () => {
    await using net = await linked();
    const pairs = await Promise.all(
      Array.from({length: 8}, (_, i) => net.pair(i % 2 === 0 ? 'relay' : 'agent')),
    );
    const ends = pairs.flat();
    for (const [i, end] of ends.entries()) {
      end.write(2 * MIB + i * 1_000);
      end.end();
    }
    const allOver = () => ends.every((end) => end.over);
    let cuts = 0;
    while (cuts < 20 && !allOver()) {
      const side = cuts % 2 === 0 ? 'agent' : 'relay';
      const carrier = net.carriers?.[side];
      carrier?.cutAfter(150_001 + cuts);
      await net.until(
        () => carrier?.closed === true || allOver(),
        'the cut',
        () => ends.map((end) => end.describe()).join('\n'),
      );
      cuts += 1;
    }
    expect(cuts).toBe(20);
    await over(net, ends);
    noFaults(ends);
    expect(ends.every((end) => end.closed)).toBe(true);
    await net.rest();
  });

  test('a new link that is tried beside a living one takes over, and no byte comes twice', async () => {
    await using net = await linked();
    const ends = (await Promise.all([net.pair('relay'), net.pair('agent'), net.pair('relay')])).flat();
    for (const end of ends) {
      end.write(2 * MIB);
      end.end();
    }
    for (let i = 0; i < 5; i += 1) {
      const before = net.peers.session('agent').link;
      await net.link();
      await net.until(
        () => net.linked && net.peers.agent?.link !== before,
        'the new link',
        () => ends.map((end) => end.describe()).join('\n'),
      );
    }
    await over(net, ends);
    noFaults(ends);
    expect(ends.every((end) => end.closed && end.received === 2 * MIB)).toBe(true);
    await net.rest();
  });

  test('an end, a reset and an open that are made while there is no link arrive on the next one', async () => {
    await using net = await linked();
    const [ending, ended] = await net.pair('relay');
    const [resetting, reset] = await net.pair('relay');
    net.carriers?.agent.cutAfter(0);
    await net.until(() => net.peers.detached.relay === 1, 'the cut');
    ending.write(10_000);
    ending.end();
    resetting.write(100_000);
    resetting.reset('VISITOR_RESET');
    const late = net.open('relay');
    late.write(7);
    const taken = await net.nextOffered('agent');
    await net.until(
      () => ended.remoteEnded && reset.over && taken.received === 7,
      'all three',
      () => [ended, reset, taken].map((end) => end.describe()).join('\n'),
    );
    expect(ended.received).toBe(10_000);
    expect(reset.resetCode).toBe('VISITOR_RESET');
    noFaults([ending, ended, resetting, reset, late, taken]);
  });

  test('a session that closes tells the peer, and every stream on both sides', async () => {
    await using net = await linked();
    const [mine, theirs] = await net.pair('relay');
    net.peers.session('relay').close();
    await net.until(() => net.peers.ends.agent !== undefined, 'the agent hears of it');
    expect(net.peers.ends).toEqual({agent: null, relay: null});
    expect([mine.resetCode, theirs.resetCode]).toEqual(['SESSION_ENDED', 'SESSION_ENDED']);
    expect(net.peers.session('relay').open(1, {})).toBeUndefined();
    expect([net.peers.pools.agent.out, net.peers.session('relay').queuedBytes]).toEqual([0, 0]);
    noFaults([mine, theirs]);
  });

  test('a close with a reason ends the peer with that code', async () => {
    await using net = await linked();
    net.peers.session('relay').close('TAKEN_OVER', 'by somebody');
    await net.until(() => net.peers.ends.agent !== undefined, 'the agent hears of it');
    expect(net.peers.ends.agent).toMatchObject({code: 'TAKEN_OVER', message: 'by somebody'});
  });

  test('a link that does not come back within the resume window ends the session and resets its streams', async () => {
    await using net = await linked({resumeWindowMs: 60_000});
    const [mine, theirs] = await net.pair('relay');
    net.carriers?.agent.destroy();
    // Nobody links again here: only time passes.
    while (net.peers.detached.relay === 0 || net.peers.detached.agent === 0) {
      net.flow(1_000_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    net.clock.advance(59_999);
    expect(net.peers.ends).toEqual({});
    net.clock.advance(1);
    expect(net.peers.ends).toMatchObject({agent: {code: 'RESUME_EXPIRED'}, relay: {code: 'RESUME_EXPIRED'}});
    expect([mine.resetCode, theirs.resetCode]).toEqual(['SESSION_ENDED', 'SESSION_ENDED']);
    noFaults([mine, theirs]);
  });

  test('a session whose end was put off after its resume window goes on with an agent that comes back first', async () => {
    const put: (() => void)[] = [];
    await using net = await linked({resumeWindowMs: 50, onExpiry: (end) => void put.push(end)});
    const [mine, theirs] = await net.pair('relay');
    net.carriers?.agent.destroy();
    while (net.peers.detached.relay === 0 || net.peers.detached.agent === 0) {
      net.flow(1_000_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    net.clock.advance(50);
    expect([put.length, net.peers.ends]).toEqual([2, {}]);
    await net.until(() => net.linked, 'the next link');
    for (const end of put) end();
    expect(net.peers.ends).toEqual({});
    noFaults([mine, theirs]);
  });
});
