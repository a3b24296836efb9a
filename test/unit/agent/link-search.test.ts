// The search for a link alone: the clock stands still, and the test settles every attempt.

import {describe, expect, test} from 'vitest';
import {LinkSearch} from '../../../src/lib/agent/link-search.js';
import type {Verdict} from '../../../src/lib/agent/verdict.js';
import {Backoff} from '../../../src/lib/core/backoff.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const NEVER = Number.POSITIVE_INFINITY;
const LOST = new TunlError('RELAY_LOST');
const REFUSED = new TunlError('RELAY_REFUSED');
const LEAVING = new TunlError('RELAY_LEAVING');

interface Attempt {
  signal: AbortSignal;
  fail(error: unknown): Promise<void>;
}

/** Waits are 125, 250, 500 … ms: half of the upper bound of the back-off. */
function setUp({
  judge = (): Verdict => 'later',
  onVerdict = (_: Verdict): void => {},
  keptMs = (): number | undefined => undefined,
  random = (): number => 0.5,
} = {}) {
  const clock = new ManualClock();
  const attempts: Attempt[] = [];
  const heard: unknown[] = [];
  const search: LinkSearch = new LinkSearch({
    clock,
    backoff: new Backoff({clock, random}),
    connect: (signal) =>
      new Promise((_resolve, reject) => {
        attempts.push({
          signal,
          async fail(error) {
            reject(error);
            await new Promise((resolve) => setImmediate(resolve));
          },
        });
      }),
    judge: () => judge(),
    onNewSession: (error) => {
      heard.push(['new session', error.code]);
      onVerdict('new-session');
    },
    onFinal: (error) => {
      heard.push(['final', error.code]);
      onVerdict('final');
    },
    keptMs: () => keptMs(),
    onWaiting: (error, attempt, delayMs) => heard.push([error.code, attempt, delayMs]),
    onGaveUp: (cause) => heard.push(['gave up', cause?.code]),
  });
  const latest = () => {
    const attempt = attempts.at(-1);
    if (attempt === undefined) throw new Error('no attempt');
    return attempt;
  };
  return {clock, search, attempts, latest, heard};
}

test('the first link is tried at once, and each failure makes the next wait longer', async () => {
  const {clock, search, attempts, latest, heard} = setUp();
  search.begin(NEVER);
  expect(attempts).toHaveLength(1);
  await latest().fail(REFUSED);
  clock.advance(124);
  expect(attempts).toHaveLength(1);
  clock.advance(1);
  expect(attempts).toHaveLength(2);
  await latest().fail(REFUSED);
  clock.advance(250);
  expect(attempts).toHaveLength(3);
  search.found();
  expect(heard).toEqual([
    ['RELAY_REFUSED', 1, 125],
    ['RELAY_REFUSED', 2, 250],
  ]);
  expect(clock.pending).toBe(0);
});

test('a lost link is reported with the first wait, and its end with the length of the absence', () => {
  const {clock, search, attempts, heard} = setUp();
  search.lost(LOST, NEVER);
  expect(heard).toEqual([['RELAY_LOST', 1, 125]]);
  expect(attempts).toHaveLength(0);
  clock.advance(125);
  clock.advance(40);
  expect(search.found()).toEqual({awayMs: 165, told: true});
  expect(clock.pending).toBe(0);
});

test('an error without a code counts as a lost link', async () => {
  const {search, latest, heard} = setUp();
  search.begin(NEVER);
  await latest().fail(new Error('cut'));
  expect(heard).toEqual([['RELAY_LOST', 1, 125]]);
});

test('a relay that asks for a pause is not tried before it ends', async () => {
  const {clock, search, attempts, latest} = setUp();
  search.begin(NEVER);
  await latest().fail(new TunlError('RELAY_BUSY', {retryAfterMs: 5_000}));
  clock.advance(5_124);
  expect(attempts).toHaveLength(1);
  clock.advance(1);
  expect(attempts).toHaveLength(2);
});

test('attempts without an answer do not make the waits longer', async () => {
  const {clock, search, latest, heard} = setUp();
  search.begin(NEVER);
  for (let i = 0; i < 10; i++) {
    await latest().fail(new TunlError('RELAY_TIMEOUT'));
    clock.advance(1_000);
  }
  expect(heard.at(-1)).toEqual(['RELAY_TIMEOUT', 10, 1_000]);
});

test('with another verdict the next attempt follows at once, or there is none', async () => {
  let verdict: Verdict = 'new-session';
  const {clock, search, attempts, latest, heard} = setUp({judge: () => verdict});
  search.begin(NEVER);
  await latest().fail(REFUSED);
  expect(attempts).toHaveLength(2);
  verdict = 'final';
  await latest().fail(REFUSED);
  clock.advance(60_000);
  expect(attempts).toHaveLength(2);
  expect(heard).toEqual([
    ['new session', 'RELAY_REFUSED'],
    ['final', 'RELAY_REFUSED'],
  ]);
});

test.each([['new-session'], ['final']] as const)(
  'an owner that ends the search when it gets a verdict gets no further attempt (%s)',
  async (verdict) => {
    const {clock, search, attempts, latest} = setUp({judge: () => verdict, onVerdict: () => search.end()});
    search.begin(NEVER);
    await latest().fail(REFUSED);
    clock.advance(60_000);
    expect(attempts).toHaveLength(1);
    expect(clock.pending).toBe(0);
  },
);

test('the search ends in the middle of a wait, with the last failure', async () => {
  const {clock, search, attempts, latest, heard} = setUp();
  search.lost(LOST, 1_000);
  clock.advance(125);
  await latest().fail(new TunlError('RELAY_BUSY', {retryAfterMs: 3_600_000}));
  clock.advance(875);
  expect(heard.at(-1)).toEqual(['gave up', 'RELAY_BUSY']);
  clock.advance(7_200_000);
  expect(attempts).toHaveLength(1);
  expect(clock.pending).toBe(0);
});

test('the search ends in the middle of an attempt, which is aborted', () => {
  const {clock, search, latest, heard} = setUp();
  search.begin(1_000);
  clock.advance(1_000);
  expect(latest().signal.aborted).toBe(true);
  expect(heard).toEqual([['gave up', undefined]]);
});

test('a link in time removes the limit, and the next loss begins a new one', () => {
  const {clock, search, heard} = setUp();
  search.lost(LOST, 1_000);
  clock.advance(900);
  search.found();
  clock.advance(900);
  search.lost(LOST, 1_000);
  clock.advance(999);
  expect(heard.map((each) => (each as string[])[0])).not.toContain('gave up');
  clock.advance(1);
  expect(heard.at(-1)).toEqual(['gave up', 'RELAY_LOST']);
});

test('a relay that leaves on purpose is reported at once, and tried after its delay', async () => {
  const {clock, search, attempts, latest, heard} = setUp();
  search.sentAway(LEAVING, 2_000, NEVER);
  expect(heard).toEqual([['RELAY_LEAVING', 1, 2_000]]);
  clock.advance(1_999);
  expect(attempts).toHaveLength(0);
  clock.advance(1);
  await latest().fail(REFUSED);
  clock.advance(125);
  expect(search.found()).toEqual({awayMs: 2_125, told: true});
  expect(heard.slice(1)).toEqual([['RELAY_REFUSED', 2, 125]]);
});

test('attempts are counted from 1 each time that the link is lost', async () => {
  const {clock, search, latest, heard} = setUp();
  search.lost(LOST, NEVER);
  clock.advance(125);
  await latest().fail(REFUSED);
  clock.advance(250);
  search.found();
  search.lost(LOST, NEVER);
  expect(heard.map((each) => (each as unknown[])[1])).toEqual([1, 2, 1]);
});

test.each(['RELAY_CERTIFICATE', 'RELAY_NOT_TUNL'] as const)(
  'another server that answers (%s) is tried again within 5 s, because the relay itself gets no load',
  async (code) => {
    const {clock, search, latest, heard} = setUp({random: () => 1});
    search.lost(LOST, NEVER);
    for (let i = 0; i < 10; i++) {
      clock.advance(5_000);
      await latest().fail(new TunlError(code));
    }
    expect(heard.at(-1)).toEqual([code, 11, 5_000]);
  },
);

describe('while open streams wait for the link', () => {
  test('no wait is longer than 2.5 s, however often the relay refuses', async () => {
    const {clock, search, latest, heard} = setUp({keptMs: () => 600_000, random: () => 1});
    search.lost(LOST, NEVER);
    for (let i = 0; i < 10; i++) {
      clock.advance(2_500);
      await latest().fail(REFUSED);
    }
    expect(heard.at(-1)).toEqual(['RELAY_REFUSED', 11, 2_500]);
  });

  test('an attempt comes before they are lost, also when the relay asked for a longer pause', async () => {
    const until = 20_000;
    const {clock, search, attempts, latest} = setUp({keptMs: () => until - clock.now(), random: () => 1});
    search.lost(LOST, NEVER);
    clock.advance(250);
    await latest().fail(new TunlError('RELAY_BUSY', {retryAfterMs: 60_000}));
    clock.advance(until - 1_000 - clock.now());
    expect(attempts).toHaveLength(2);
    // After that attempt there is time for another one.
    await latest().fail(new TunlError('RELAY_BUSY', {retryAfterMs: 60_000}));
    clock.advance(500);
    expect(attempts).toHaveLength(3);
  });
});

test('a goodbye ends attempts beside the link', () => {
  const {clock, search, attempts, latest} = setUp();
  search.hurry();
  const beside = latest();
  search.sentAway(LEAVING, 2_000, NEVER);
  expect(beside.signal.aborted).toBe(true);
  clock.advance(2_000);
  expect(attempts).toHaveLength(2);
});

test('an attempt beside a live link may fail silently', async () => {
  const {clock, search, attempts, latest, heard} = setUp({
    judge: () => {
      throw new Error('asked');
    },
  });
  search.hurry();
  await latest().fail(REFUSED);
  clock.advance(60_000);
  expect(attempts).toHaveLength(1);
  expect(heard).toEqual([]);
});

test('an attempt beside a link that is lost meanwhile is the next attempt', async () => {
  const {clock, search, attempts, latest, heard} = setUp();
  search.hurry();
  search.lost(LOST, NEVER);
  clock.advance(60_000);
  expect(attempts).toHaveLength(1);
  await latest().fail(REFUSED);
  clock.advance(250);
  expect(attempts).toHaveLength(2);
  expect(heard).toEqual([
    ['RELAY_LOST', 1, 125],
    ['RELAY_REFUSED', 2, 250],
  ]);
});

test('in a hurry the wait ends, and the attempt under way is replaced', async () => {
  const {clock, search, attempts, latest, heard} = setUp();
  search.lost(LOST, NEVER);
  search.hurry();
  expect(attempts).toHaveLength(1);
  const first = latest();
  search.hurry();
  expect(first.signal.aborted).toBe(true);
  expect(attempts).toHaveLength(2);
  // Its result no longer matters.
  await first.fail(new TunlError('ABORTED'));
  clock.advance(60_000);
  expect(attempts).toHaveLength(2);
  expect(heard).toHaveLength(1);
});

test('after the end there are no attempts, reports or timers', async () => {
  const {clock, search, attempts, latest, heard} = setUp();
  search.begin(1_000);
  search.end();
  search.end();
  expect(latest().signal.aborted).toBe(true);
  await latest().fail(new TunlError('ABORTED'));
  search.begin(1_000);
  search.lost(LOST, 1_000);
  search.sentAway(LEAVING, 0, 1_000);
  search.hurry();
  clock.advance(60_000);
  expect(attempts).toHaveLength(1);
  expect(heard).toEqual([]);
  expect(clock.pending).toBe(0);
});
