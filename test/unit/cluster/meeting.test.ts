// Members that meet through a roster which the test keeps.

import {describe, expect, test} from 'vitest';
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

  leave(name: string): void {
    this.#members.delete(name);
    this.#listeners.delete(name);
    this.tell();
  }

  tell(but?: string): void {
    for (const [name, listener] of this.#listeners) if (name !== but) listener(this.members);
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
    const start = async (meeting: Meeting) => {
      for (;;) {
        const plan = await meeting.plan(never);
        if (await meeting.ready(plan, never)) return plan.members;
      }
    };
    const starts = living.map(start);
    await turn();
    for (let seconds = 0; seconds < 40; seconds += 5) {
      roster.clock.advance(5_000);
      await turn();
      await turn();
    }
    expect(await Promise.all(starts)).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
  });

  test('one that is gone while its program runs is lost after a while, and not when it has ended before', async () => {
    const roster = new Roster();
    const [a, b] = [roster.join('a'), roster.join('b')];
    const plan = await a.plan(never);
    roster.leave('b');
    expect(a.lost(plan)).toEqual([]);
    roster.clock.advance(20_000);
    expect(a.lost(plan)).toEqual([1]);
    b.close();
  });

  test('words of one that has left stay known', async () => {
    const roster = new Roster();
    const [a, b] = [roster.join('a'), roster.join('b')];
    const plan = await a.plan(never);
    b.report({epoch: 1, code: 0, at: 3, told: false});
    await turn();
    roster.leave('b');
    roster.clock.advance(30_000);
    expect(a.exits(plan)).toEqual([{rank: 1, exit: {epoch: 1, code: 0, at: 3, told: false}}]);
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
