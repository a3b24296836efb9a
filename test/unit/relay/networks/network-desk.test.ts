// The members of all networks, in one place: who may join, and how often rosters go out.

import {expect, test} from 'vitest';
import {NETWORK_LIMITS} from '../../../../src/lib/protocol/network-messages.js';
import {
  type MemberAsked,
  type MemberHolder,
  NetworkDesk,
} from '../../../../src/lib/relay/networks/network-desk.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

class Holder implements MemberHolder {
  readonly isUp = true;
  readonly lines: string[] = [];
  readonly lost: number[] = [];
  roster(_network: string, line: string): void {
    this.lines.push(line);
  }
  replaced(member: number): void {
    this.lost.push(member);
  }
  get last(): {name: string; serial: number; state: object}[] {
    return JSON.parse(this.lines.at(-1) ?? '{}').members;
  }
}

const asked = (name: string, more: Partial<MemberAsked> = {}): MemberAsked => ({
  ...{
    network: 'net:lab',
    name,
    key: `key of ${name}`,
    address: 'fdaa::1',
    accepts: true,
    owner: 'ana',
    session: 's1',
  },
  ...more,
});

function setUp() {
  const clock = new ManualClock();
  const desk = new NetworkDesk<Holder>(clock);
  const join = (holder: Holder, name: string, more?: Partial<MemberAsked>) => {
    const answer = desk.join(holder, asked(name, more));
    return answer.ok ? answer.member : answer.refusal[0];
  };
  return {clock, desk, join, here: new Holder(), there: new Holder()};
}

test('one roster tells all changes until it goes out, to every process once', () => {
  const {clock, desk, join, here, there} = setUp();
  const a = join(here, 'a') as number;
  join(here, 'b');
  join(there, 'c');
  desk.tell(a, {ready: true});
  expect(here.lines).toEqual([]);
  clock.advance(0);
  expect([here.lines.length, there.lines.length]).toEqual([1, 1]);
  expect(there.last).toMatchObject([
    {name: 'a', serial: 1, state: {ready: true}},
    {name: 'b'},
    {name: 'c', serial: 3},
  ]);
  // The same state is no news.
  desk.tell(a, {ready: true});
  clock.advance(1_000);
  expect(here.lines).toHaveLength(1);
  desk.leave(a);
  clock.advance(1_000);
  expect(here.last.map(({name}) => name)).toEqual(['b', 'c']);
  // Those who leave get no roster.
  desk.left(there);
  clock.advance(1_000);
  expect([here.last.length, there.lines.length]).toEqual([1, 2]);
});

test('the longer the roster and the more its readers, the rarer it goes out', () => {
  const {clock, desk, join, here} = setUp();
  const ids = Array.from({length: 256}, (_, at) => join(here, `m${at}`) as number);
  const x = 'x'.repeat(900);
  for (let i = 0; i < 600; i += 1) {
    for (const id of ids) desk.tell(id, {i, x});
    clock.advance(100);
  }
  // One minute at 8 MiB a second, and the first and the last one.
  const bytes = here.lines.map((line) => line.length * ids.length);
  const sum = bytes.reduce((all, each) => all + each, 0);
  expect(sum).toBeLessThanOrEqual(60 * 8 * 2 ** 20 + 2 * Math.max(...bytes));
  expect(here.lines.length).toBeGreaterThan(3);
});

test('a name has one key, a key one name, a network and an owner a limited number of members', () => {
  const {join, here, there, desk} = setUp();
  const first = join(here, 'a') as number;
  expect(join(there, 'a', {key: 'other'})).toBe('MEMBER_NAME_USED');
  expect(join(there, 'b', {key: 'key of a'})).toBe('MEMBER_NAME_USED');
  // The same name and key elsewhere.
  expect(join(there, 'a', {network: 'cluster:lab'})).toEqual(expect.any(Number));
  const again = join(there, 'a') as number;
  expect(here.lost).toEqual([first]);
  // The old number means nothing any more.
  desk.leave(first);
  desk.tell(first, {});
  expect(desk.find('net:lab', 'a')).toEqual({member: again, holder: there});
  for (let at = 1; at < NETWORK_LIMITS.members; at += 1) join(here, `m${at}`);
  expect(join(here, 'one-more')).toBe('NETWORK_FULL');
  // Who is in may come back.
  expect(join(here, 'a')).toEqual(expect.any(Number));
  let more = 0;
  while (typeof join(here, 'a', {network: `net:n${more}`}) === 'number') more += 1;
  expect(desk.counts.members).toBe(1_024);
  expect(join(here, 'a', {network: 'net:z'})).toBe('TOO_MANY_STREAMS');
  expect(join(here, 'a', {network: 'net:z', owner: 'bo'})).toEqual(expect.any(Number));
});

test('the serial number stays when the same key takes over, and grows otherwise', () => {
  const {join, desk, clock, here, there} = setUp();
  join(here, 'a');
  const b = join(here, 'b') as number;
  join(there, 'a');
  clock.advance(0);
  expect(here.last.map(({name, serial}) => `${name}${serial}`)).toEqual(['a1', 'b2']);
  desk.leave(b);
  join(here, 'b');
  clock.advance(1_000);
  expect(here.last.map(({name, serial}) => `${name}${serial}`)).toEqual(['a1', 'b3']);
});

test('a process that watches gets rosters, and an empty network is forgotten', () => {
  const {join, desk, clock, here, there} = setUp();
  desk.watch(there, 'net:lab');
  expect(there.last).toEqual([]);
  const a = join(here, 'a') as number;
  clock.advance(0);
  expect(there.last).toHaveLength(1);
  // A second one is shown what the process has.
  desk.watch(there, 'net:lab');
  expect(there.lines).toHaveLength(2);
  desk.unwatch(there, 'net:lab');
  desk.leave(a);
  expect(desk.counts).toEqual({networks: 1, members: 0});
  desk.unwatch(there, 'net:lab');
  desk.unwatch(there, 'net:lab');
  expect(desk.counts).toEqual({networks: 0, members: 0});
  desk.watch(there, 'net:lab');
  join(there, 'a');
  desk.left(there);
  expect(desk.counts).toEqual({networks: 0, members: 0});
  clock.advance(10_000);
  expect(clock.pending).toBe(0);
});

test('the operator sees networks that have members, and no key', () => {
  const {desk, join} = setUp();
  const holder: Holder = {isUp: true, roster: () => {}, replaced: () => {}} as unknown as Holder;
  join(holder, 'trainer');
  join(holder, 'worker', {owner: 'ben', accepts: false});
  join(holder, 'other', {network: 'cluster:train', key: 'another key'});
  desk.watch(holder, 'net:empty');
  const row = (name: string, owner: string, accepts = true) => ({
    ...{name, owner, accepts, address: 'fdaa::1', session: 's1'},
    ...{bytesIn: 0, bytesOut: 0},
  });
  expect(desk.status(10)).toEqual([
    {network: 'net:lab', members: [row('trainer', 'ana'), row('worker', 'ben', false)]},
    {network: 'cluster:train', members: [row('other', 'ana')]},
  ]);
  expect(desk.status(2).map(({network}) => network)).toEqual(['net:lab']);
  expect(JSON.stringify(desk.status(10))).not.toMatch(/key/);
});
