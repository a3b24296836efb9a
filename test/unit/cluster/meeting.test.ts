// Members that meet through a roster which the test keeps.

import {describe, expect, test} from 'vitest';
import type {Plan} from '../../../src/lib/cluster/barrier.js';
import {Meeting} from '../../../src/lib/cluster/meeting.js';
import type {Member} from '../../../src/lib/network/member.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

class Roster {
  readonly clock = new ManualClock();
  readonly #members = new Map<string, Member>();
  readonly #listeners = new Map<string, (members: readonly Member[]) => void>();
  #serial = 0;

  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** @param isDead it is in the roster, and does nothing more. */
  join(
    name: string,
    {size = 2, rank, isDead = false}: {size?: number; rank?: number; isDead?: boolean} = {},
  ): Meeting {
    const roster = this;
    this.#serial += 1;
    const serial = this.#serial;
    this.#members.set(name, {
      name,
      address: `fdaa::${serial}`,
      serial,
      accepts: true,
      state: {},
      path: 'relay',
    });
    return new Meeting({
      membership: {
        name,
        get members() {
          return roster.members;
        },
        onMembers: (listener) => {
          if (!isDead) roster.#listeners.set(name, listener);
          return () => void roster.#listeners.delete(name);
        },
        setState: (state) => {
          const before = roster.#members.get(name);
          if (before === undefined) return;
          roster.#members.set(name, {...before, state: structuredClone(state) as Member['state']});
          // Others hear of it later.
          setImmediate(() => roster.tell(name));
        },
      },
      size,
      rank,
      clock: this.clock,
      onWaiting: () => {},
    });
  }

  /** A new process with the same name and key: the relay puts it in the place of the one that was killed. */
  replace(name: string, options: {rank?: number} = {}): Meeting {
    const before = this.#serial;
    this.#serial = (this.#members.get(name)?.serial ?? 0) - 1;
    const meeting = this.join(name, options);
    this.#serial = before;
    return meeting;
  }

  leave(name: string): void {
    this.#members.delete(name);
    this.#listeners.delete(name);
    this.tell();
  }

  /** The time passes while all hear each other. */
  async pass(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed += 5) {
      this.clock.advance(5_000);
      await turn();
      await turn();
    }
  }

  tell(but?: string): void {
    for (const [name, listener] of this.#listeners) if (name !== but) listener(this.members);
  }
}

/** All are ready for the same plan, and it has begun. */
async function begun(meetings: readonly Meeting[]): Promise<Plan> {
  const plans = await Promise.all(meetings.map(start));
  expect(new Set(plans.map(({id}) => id)).size).toBe(1);
  return plans[0] as Plan;
}

async function start(meeting: Meeting): Promise<Plan> {
  for (;;) {
    const plan = await meeting.plan(never);
    if (await meeting.ready(plan, never)) return plan;
  }
}

test('all get one plan, and start when all are ready', async () => {
  const roster = new Roster();
  const meetings = ['a', 'b', 'c'].map((name) => roster.join(name, {size: 3}));
  const plans = await Promise.all(meetings.map((each) => each.plan(never)));
  expect(plans.map(({members}) => members)).toEqual(Array(3).fill(['a', 'b', 'c']));
  const [first, ...others] = meetings.map((each, index) => ({each, plan: plans[index]}));
  const early = others.map(({each, plan}) => each.ready(plan as never, never));
  let isStarted = false;
  void Promise.all(early).then(() => {
    isStarted = true;
  });
  await turn();
  expect(isStarted).toBe(false);
  const last = first?.each.ready(first.plan as never, never);
  expect(await Promise.all([...early, last])).toEqual([true, true, true]);
});

describe('members that are gone', () => {
  test('one that leaves before the start is replaced, with a new plan', async () => {
    const roster = new Roster();
    const [a, b] = [roster.join('a'), roster.join('b')];
    const plan = await a.plan(never);
    await b.plan(never);
    const ready = a.ready(plan, never);
    roster.leave('b');
    expect(await ready).toBe(false);
    const c = roster.join('c');
    expect((await a.plan(never)).members).toEqual(['a', 'c']);
    expect((await c.plan(never)).members).toEqual(['a', 'c']);
  });

  test.each([
    ['first', ['dead', 'a', 'b']],
    ['in between', ['a', 'dead', 'b']],
  ])('one that joined %s and has died, although the relay still has it, is left out', async (_, names) => {
    const roster = new Roster();
    const meetings = names.map((name) => ({name, meeting: roster.join(name, {isDead: name === 'dead'})}));
    const living = meetings.filter(({name}) => name !== 'dead').map(({meeting}) => meeting);
    const starts = living.map(start);
    await turn();
    await roster.pass(40);
    const plans = await Promise.all(starts);
    expect(plans.map(({members}) => members)).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
  });

  test.each([
    ['first', 'a', 'b'],
    ['later', 'b', 'a'],
  ])('one that joined %s and was left out takes part again when it comes back', async (...row) => {
    const [, dead, living] = row;
    const roster = new Roster();
    const members = new Map(
      ['a', 'b'].map((name, rank) => [name, roster.join(name, {rank, isDead: name === dead})]),
    );
    const started = start(members.get(living) as Meeting);
    await roster.pass(40);
    const again = roster.replace(dead, {rank: dead === 'a' ? 0 : 1});
    const plans = await Promise.all([started, start(again)]);
    expect(plans.map(({members: names}) => names)).toEqual(Array(2).fill(['a', 'b']));
  });

  test.each([
    ['the member that plans', 0],
    ['another member', 1],
  ])('%s is waited for while it makes itself ready', async (_, slow) => {
    const roster = new Roster();
    const meetings = [roster.join('a'), roster.join('b')];
    const plans = await Promise.all(meetings.map((each) => each.plan(never)));
    const ready = (at: number) => meetings[at]?.ready(plans[at] as Plan, never);
    const early = ready(1 - slow);
    await roster.pass(100);
    expect(await Promise.all([early, ready(slow)])).toEqual([true, true]);
  });

  test('one that took a plan and has died then is left out at last', async () => {
    const roster = new Roster();
    const [a, b] = [roster.join('a'), roster.join('b')];
    const started = start(a);
    await b.plan(never);
    b.close();
    const c = roster.join('c');
    const replaced = start(c);
    await roster.pass(125);
    const plans = await Promise.all([started, replaced]);
    expect(plans.map(({members}) => members)).toEqual(Array(2).fill(['a', 'c']));
  });

  test('one that is gone while its program runs is lost after a while, and not when it has ended before', async () => {
    const roster = new Roster();
    const [a, b] = [roster.join('a'), roster.join('b')];
    const plan = await begun([a, b]);
    roster.leave('b');
    expect(a.lost(plan)).toEqual([]);
    roster.clock.advance(20_000);
    expect(a.lost(plan)).toEqual([1]);
    b.close();
  });

  test('words of one that has left stay known', async () => {
    const roster = new Roster();
    const [a, b] = [roster.join('a'), roster.join('b')];
    const plan = await begun([a, b]);
    b.report({epoch: 1, code: 0, at: 3, told: false});
    await turn();
    roster.leave('b');
    roster.clock.advance(30_000);
    expect(a.exits(plan)).toEqual([{rank: 1, exit: {epoch: 1, code: 0, at: 3, told: false}}]);
    expect(a.lost(plan)).toEqual([]);
  });
});

describe('a member that is killed while its program runs, and starts again in its place', () => {
  test.each([
    ['the member that planned', 'a', 'b', 0],
    ['another member', 'b', 'a', 1],
  ])('%s: it does not begin alone, is lost to the others, and starts with them again', async (...row) => {
    const [, killed, left, rank] = row;
    const roster = new Roster();
    const members = {a: roster.join('a', {rank: 0}), b: roster.join('b', {rank: 1})};
    const plan = await begun([members.a, members.b]);
    const other = members[left as 'a' | 'b'];
    expect(other.lost(plan)).toEqual([]);
    const sees = other.until(() => other.lost(plan).length > 0, never);
    const again = roster.replace(killed, {rank});
    const started = start(again);
    let isStarted = false;
    void started.then(() => {
      isStarted = true;
    });
    await sees;
    expect(other.lost(plan)).toEqual([rank]);
    await turn();
    expect(isStarted).toBe(false);
    other.report({epoch: 1, code: 143, at: 5, told: true});
    other.again();
    const plans = await Promise.all([started, start(other)]);
    expect(plans.map(({epoch, members: names}) => ({epoch, names}))).toEqual(
      Array(2).fill({epoch: 2, names: ['a', 'b']}),
    );
    expect(plans[0]?.id).toBe(plans[1]?.id);
    expect(other.lost(plans[1] as Plan)).toEqual([]);
  });

  test('one that has told its end is not lost, and its end stays known', async () => {
    const roster = new Roster();
    const [a, b] = [roster.join('a', {rank: 0}), roster.join('b', {rank: 1})];
    const plan = await begun([a, b]);
    const exit = {epoch: 1, code: 130, at: 3, told: false};
    b.report(exit);
    await a.until(() => a.exits(plan).length > 0, never);
    roster.replace('b', {rank: 1});
    await turn();
    expect(a.exits(plan)).toEqual([{rank: 1, exit}]);
    expect(a.lost(plan)).toEqual([]);
  });
});

test('a member that comes for a lost one waits for the start of the others', async () => {
  const roster = new Roster();
  const [a, b] = [roster.join('a'), roster.join('b')];
  await a.plan(never);
  await b.plan(never);
  a.report({epoch: 1, code: 3, at: 5, told: false});
  a.again();
  roster.leave('b');
  const c = roster.join('c');
  expect(await a.plan(never)).toMatchObject({epoch: 2, members: ['a', 'c']});
  expect((await c.plan(never)).epoch).toBe(2);
  expect(c.epoch).toBe(2);
});

test('a wait ends with its signal', async () => {
  const roster = new Roster();
  const stop = new AbortController();
  const waiting = roster.join('a').plan(stop.signal);
  stop.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
});
