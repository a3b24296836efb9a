// Addresses and ports that connections leave from: how they are written, chosen and given back.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {leastUsedSource, steadySource} from '../../../../src/lib/relay/egress/choose-source.js';
import {egressSetText, parseEgressSet, readEgressSets} from '../../../../src/lib/relay/egress/egress-set.js';
import {LocalPorts, type PortLease} from '../../../../src/lib/relay/egress/local-ports.js';

const FIVE = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4', '192.0.2.5'];

describe('an egress', () => {
  test('is a name and up to five addresses, in their usual spelling', () => {
    const set = parseEgressSet(' My-Proxy=203.0.113.1, ::ffff:203.0.113.2,2001:DB8:0::1');
    expect(set).toEqual({name: 'my-proxy', addresses: ['203.0.113.1', '203.0.113.2', '2001:db8::1']});
    expect(parseEgressSet(egressSetText(set))).toEqual(set);
  });

  test.each([
    '',
    'my-proxy',
    'my-proxy=',
    '=203.0.113.1',
    '*=203.0.113.1',
    'a b=203.0.113.1',
    'my-proxy=host.example',
    'my-proxy=203.0.113.0/24',
    'my-proxy=127.1',
    'my-proxy=0.0.0.0',
    'my-proxy=::',
    'my-proxy=fe80::1%eth0',
    'my-proxy=203.0.113.1,203.0.113.1',
    'my-proxy=203.0.113.1,,203.0.113.2',
    `my-proxy=${FIVE.join(',')},192.0.2.6`,
  ])('%j is none', (text) => {
    expect(() => parseEgressSet(text)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
  });

  test('has its name alone', () => {
    expect(() => readEgressSets(['a=192.0.2.1', 'b=192.0.2.1', 'a=192.0.2.2'])).toThrow(/a is given twice/);
  });
});

describe('the source', () => {
  test('is steady: when one address is lost, only its connections move', () => {
    const wanted = Array.from({length: 200}, (_, at) => ({
      egress: 'e',
      who: 'token',
      host: `h${at}.example`,
    }));
    const before = wanted.map((each) => steadySource(FIVE, each));
    const [lost] = FIVE;
    const rest = FIVE.slice(1);
    wanted.forEach((each, at) => {
      const after = steadySource(rest, each);
      if (before[at] === lost) expect(rest).toContain(after);
      else expect(after).toBe(before[at]);
    });
    // All five are in use, none for most.
    for (const address of FIVE) {
      const count = before.filter((each) => each === address).length;
      expect(count).toBeGreaterThan(15);
      expect(count).toBeLessThan(80);
    }
    expect(steadySource([], {egress: 'e', who: 't', host: 'h'})).toBeUndefined();
  });

  test('depends on the token as well, and not on the order of the addresses', () => {
    const of = (who: string) => steadySource(FIVE, {egress: 'e', who, host: 'db.corp'});
    expect(new Set(Array.from({length: 50}, (_, at) => of(`t${at}`))).size).toBe(5);
    expect(steadySource([...FIVE].reverse(), {egress: 'e', who: 't', host: 'db.corp'})).toBe(of('t'));
  });

  test('of a spread is the least used one', () => {
    const used = new Map(FIVE.map((address, at) => [address, at === 3 ? 1 : 2]));
    for (let turn = 0; turn < 10; turn += 1)
      expect(leastUsedSource(FIVE, (address) => used.get(address) ?? 0, turn)).toBe('192.0.2.4');
    const turns = Array.from({length: 10}, (_, turn) => leastUsedSource(FIVE, () => 0, turn));
    expect(new Set(turns).size).toBe(5);
    expect(leastUsedSource([], () => 0, 1)).toBeUndefined();
  });
});

describe('local ports', () => {
  const make = (first: number, last: number) => {
    let now = 0;
    const ports = new LocalPorts({first, last, now: () => now, random: () => 0.5});
    const advance = (ms: number) => {
      now += ms;
    };
    return {ports, advance};
  };

  test('are all given out for each pair of source and destination', () => {
    const {ports} = make(100, 109);
    for (const source of ['a', 'b'])
      for (const destination of ['x:1', 'y:1', 'x:2']) {
        const taken = Array.from({length: 10}, () => ports.take(source, destination)?.port);
        expect(taken.sort()).toEqual(Array.from({length: 10}, (_, at) => 100 + at));
        expect(ports.take(source, destination)).toBeUndefined();
      }
    expect(ports.pairs).toBe(6);
  });

  test('that the system refuses are left alone for a while', () => {
    const {ports, advance} = make(100, 102);
    const kept = ports.take('a', 'x');
    const refused = ports.take('a', 'x');
    refused?.refused();
    refused?.free();
    const third = ports.take('a', 'x');
    expect(new Set([kept?.port, refused?.port, third?.port]).size).toBe(3);
    expect(ports.take('a', 'x')).toBeUndefined();
    advance(10_000);
    expect(ports.take('a', 'x')?.port).toBe(refused?.port);
    kept?.free();
  });

  test('never belong to two connections of a pair, and leave nothing behind', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('take', 'free', 'refused', 'wait'), fc.nat(20))),
        (steps) => {
          const {ports, advance} = make(100, 107);
          const open: PortLease[] = [];
          for (const [step, which] of steps) {
            if (step === 'wait') advance(which * 1_000);
            else if (step === 'take') {
              const lease = ports.take('a', 'x');
              if (lease === undefined) continue;
              expect(open.map(({port}) => port)).not.toContain(lease.port);
              expect(lease.port).toBeGreaterThanOrEqual(100);
              expect(lease.port).toBeLessThanOrEqual(107);
              open.push(lease);
            } else {
              const [lease] = open.splice(which % Math.max(1, open.length), 1);
              lease?.[step]();
            }
          }
          for (const lease of open) lease.free();
          expect(ports.pairs).toBe(0);
        },
      ),
    );
  });
});
