// The gate in front of a private TCP service: what it reads, for how long, and for how many at once.

import {expect, test} from 'vitest';
import type {UpstreamVisit} from '../../../../src/lib/agent/upstream-join.js';
import {GuessLimit} from '../../../../src/lib/agent/upstreams/gated/guess-limit.js';
import {Links} from '../../../../src/lib/agent/upstreams/gated/links.js';
import {StreamGate} from '../../../../src/lib/agent/upstreams/gated/stream-gate.js';
import type {Stream, StreamSink} from '../../../../src/lib/mux/stream.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

function gate() {
  const clock = new ManualClock();
  const links = new Links();
  const made = new StreamGate({links, guesses: new GuessLimit(() => clock.now()), clock});
  /** A visitor whose bytes go to `got` once it is in. */
  const visit = (address = '192.0.2.7') => {
    const told: string[] = [];
    const got: string[] = [];
    const stream = {
      sink: undefined as unknown as StreamSink,
      accept: () => void told.push('accepted'),
      refuse: (code: string) => void told.push(`refused ${code}`),
      reset: (code: string) => void told.push(`reset ${code}`),
      write: (bytes: Buffer) => {
        told.push(bytes.toString());
        return true;
      },
      end: () => void told.push('end'),
      consumed: (bytes: number) => void told.push(`consumed ${bytes}`),
    };
    const joined: StreamSink = {
      onData: (piece) => void got.push(piece.toString()),
      onEnd: () => void got.push('END'),
      onWritable: () => {},
      onReset: (code) => void got.push(`RESET ${code}`),
    };
    let entered: UpstreamVisit | undefined;
    const asked: UpstreamVisit = {
      stream: stream as unknown as Stream,
      from: `${address}:1`,
      visitor: {via: 'tls', address, port: 1},
      onOpen: () => {},
      onDone: (code) => void told.push(`done ${code}`),
    };
    made.admit(asked, (admitted) => {
      entered = admitted;
      stream.sink = joined;
    });
    return {
      told,
      got,
      stream,
      says: (text: string) => stream.sink.onData(Buffer.from(text)),
      entered: () => entered,
    };
  };
  return {clock, links, visit};
}

test('a right token in single bytes: what follows it goes to the upstream, with the end', () => {
  const {links, visit} = gate();
  const {link, token} = links.add();
  const visitor = visit();
  for (const char of `TUNL/1 ${token}\n`) visitor.says(char);
  expect(visitor.entered()?.greeting?.toString()).toBe('TUNL/1 OK\n');
  visitor.says('hello');
  expect(visitor.got).toEqual(['hello']);
  expect(visitor.told).toEqual([`consumed ${token.length + 8}`]);
  const whole = visit();
  whole.says(`TUNL/1 ${token}\nhello`);
  whole.stream.sink.onEnd();
  expect(whole.got).toEqual(['hello', 'END']);
  links.revoke(link.id);
  expect([visitor.got.at(-1), whole.got.at(-1)]).toEqual(['RESET CANCELLED', 'RESET CANCELLED']);
});

test('the end of a visitor who has left is no longer one of its link', () => {
  const {links, visit} = gate();
  const {link, token} = links.add();
  const visitor = visit();
  visitor.says(`TUNL/1 ${token}\n`);
  visitor.entered()?.onDone(undefined);
  links.revoke(link.id);
  expect(visitor.told.filter((each) => each.startsWith('reset'))).toEqual([]);
});

test('a wrong token gets the reason, an end, and two seconds', () => {
  const {clock, visit} = gate();
  const visitor = visit();
  visitor.says('SSH-2.0');
  expect(visitor.told).toEqual(['consumed 7', 'accepted', 'TUNL/1 LINK_NEEDED\n', 'end']);
  visitor.says('more');
  clock.advance(1_999);
  expect(visitor.told.at(-1)).toBe('consumed 4');
  clock.advance(1);
  expect(visitor.told.slice(-2)).toEqual(['reset CANCELLED', 'done CANCELLED']);
  expect(visitor.entered()).toBeUndefined();
});

test('a visitor who says nothing has ten seconds, and one who ends has none', () => {
  const {clock, visit} = gate();
  const silent = visit();
  silent.says('TUNL/1 ab');
  clock.advance(9_999);
  expect(silent.told).toEqual([]);
  clock.advance(1);
  expect(silent.told).toEqual(['reset CANCELLED', 'done CANCELLED']);
  const ended = visit();
  ended.stream.sink.onEnd();
  expect(ended.told).toEqual(['reset CANCELLED', 'done CANCELLED']);
});

const LOST = ['reset TOO_MANY_STREAMS', 'done TOO_MANY_STREAMS'];

test('visitors without a token are bounded in number: the oldest one leaves for another', () => {
  const {clock, visit} = gate();
  const all = Array.from({length: 256}, () => visit());
  const isLost = ({told}: {told: string[]}) => told.includes('reset TOO_MANY_STREAMS');
  all[0]?.stream.sink.onReset('VISITOR_RESET');
  expect(all[0]?.told).toEqual(['done VISITOR_RESET']);
  all.push(visit());
  expect(all.filter(isLost)).toEqual([]);
  all.push(visit());
  expect(all.filter(isLost)).toEqual([all[1]]);
  expect(all[1]?.told).toEqual(LOST);
  clock.advance(10_000);
  expect(all.filter(isLost)).toHaveLength(1);
  expect(clock.pending).toBe(0);
});

test('neither one address nor 256 of them keep another one out', () => {
  const {links, visit} = gate();
  const {token} = links.add();
  const comesIn = () => {
    const visitor = visit('198.51.100.1');
    for (let n = 0; n < 300; n += 1) visit('2001:db8::1');
    visitor.says(`TUNL/1 ${token}\n`);
    return visitor.entered() !== undefined;
  };
  for (let n = 0; n < 256; n += 1) visit(`2001:db8::${n}`);
  expect(comesIn()).toBe(true);
  const first = visit('2001:db8:1::');
  for (let n = 2; n <= 256; n += 1) visit(`2001:db8:${n}::`);
  expect(first.told).toEqual([]);
  expect(comesIn()).toBe(true);
  expect(first.told).toEqual(LOST);
});

test('wrong tokens are limited for each address, and right ones always get in', () => {
  const {links, visit} = gate();
  const {token} = links.add();
  const say = (address: string, text: string) => {
    const visitor = visit(address);
    visitor.says(`TUNL/1 ${text}\n`);
    return visitor.entered() === undefined ? visitor.told[2]?.trim() : 'in';
  };
  const wrong = 'x'.repeat(32);
  for (let n = 0; n < 30; n += 1) expect(say('192.0.2.1', token)).toBe('in');
  for (let n = 0; n < 10; n += 1) expect(say('192.0.2.1', wrong)).toBe('TUNL/1 LINK_INVALID');
  expect(say('192.0.2.1', wrong)).toBe('TUNL/1 LATER');
  expect(say('192.0.2.1', token)).toBe('in');
  for (let n = 0; n < 200; n += 1) say(`198.51.100.${n % 20}`, wrong);
  expect(say('198.51.100.100', wrong)).toBe('TUNL/1 LATER');
  expect(say('198.51.100.100', token)).toBe('in');
});
