// The workers of a relay: one that ends is replaced.

import {setImmediate} from 'node:timers/promises';
import {expect, test} from 'vitest';
import {createLogger, type LogRecord} from '../../../../src/lib/core/logger.js';
import {loggedEvents} from '../../../../src/lib/relay/event-log.js';
import {Crew} from '../../../../src/lib/relay/workers/crew.js';
import {FakeChild} from '../../../helpers/fake-child.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

function setUp(fork: () => FakeChild) {
  const clock = new ManualClock();
  const records: LogRecord[] = [];
  const up: number[] = [];
  const crew = new Crew({
    settings: {workers: 1} as never,
    namesKey: Buffer.alloc(32),
    fork: () => fork().asChild,
    onMessage: () => {},
    answersFor: () => ({}) as never,
    onUp: ({number}) => up.push(number),
    onLost: () => {},
    clock,
    events: loggedEvents((record) => records.push(record), []),
    log: createLogger('relay', (record) => records.push(record)),
  });
  return {crew, clock, records, up};
}

/** Every fork is a new child. */
function setUpChildren() {
  const children: FakeChild[] = [];
  const rig = setUp(() => {
    const child = new FakeChild();
    children.push(child);
    return child;
  });
  return {...rig, children};
}

test('a machine that has no memory for a new worker is asked again, until there is one', async () => {
  const children: FakeChild[] = [];
  let failures = 0;
  const {crew, clock, records, up} = setUp(() => {
    if (children.length === 1 && failures < 2) {
      failures += 1;
      throw Object.assign(new Error('spawn ENOMEM'), {code: 'ENOMEM'});
    }
    const child = new FakeChild();
    children.push(child);
    return child;
  });
  const mustered = crew.muster();
  children[0]?.says({type: 'ready'});
  await mustered;
  crew.tellDoor({host: '127.0.0.1', port: 1});
  children[0]?.ends();
  expect(crew.forOwn([], 'ann')).toBeUndefined();
  clock.advance(60_000);
  expect([children.length, failures]).toEqual([2, 2]);
  children[1]?.says({type: 'ready'});
  await Promise.resolve();
  await Promise.resolve();
  expect(up.length).toBe(2);
  expect(crew.forOwn([], 'ann')?.number).toBe(up[1]);
  expect(records.map(({message}) => message)).toEqual([
    'a worker process has ended; another one takes its place',
    'no worker process could be started',
    'no worker process could be started',
  ]);
});

test('a reload ends when a worker does not answer', async () => {
  const child = new FakeChild();
  const {crew, clock} = setUp(() => child);
  const mustered = crew.muster();
  child.says({type: 'ready'});
  await mustered;
  const reload = crew.reload({workers: 1} as never);
  expect(child.heard.at(-1)).toMatchObject({question: 'reload'});
  clock.advance(5_000);
  await reload;
});

test('a worker that answers nothing is ended and replaced, one that answers late is not', async () => {
  const {crew, clock, records, children} = setUpChildren();
  const mustered = crew.muster();
  const [first] = children as [FakeChild];
  first.says({type: 'ready'});
  await mustered;
  crew.tellDoor({host: '127.0.0.1', port: 1});
  const questions = () => first.heard.filter((message) => 'ask' in message);
  clock.advance(29_000);
  expect(questions().length).toBe(1);
  first.says({answer: 1, value: {agents: 0, tunnels: 0, visitors: 0}} as never);
  await setImmediate();
  clock.advance(29_000);
  expect([questions().length, children.length]).toEqual([2, 1]);
  // The whole machine stands still: the worker has had no time to answer.
  first.says({answer: 2, value: {agents: 0, tunnels: 0, visitors: 0}} as never);
  await setImmediate();
  clock.jump(600_000);
  expect(children.length).toBe(1);
  clock.advance(40_000);
  expect(children.length).toBe(2);
  expect(records.map(({message}) => message)).toEqual([
    'a worker process hangs and is ended',
    'a worker process has ended; another one takes its place',
  ]);
});

test('a worker that comes after a reload begins with the new settings', async () => {
  const {crew, clock, children} = setUpChildren();
  const mustered = crew.muster();
  children[0]?.says({type: 'ready'});
  await mustered;
  crew.tellDoor({host: '127.0.0.1', port: 1});
  void crew.reload({workers: 1, visitorWaitMs: 7} as never);
  children[0]?.ends();
  clock.advance(60_000);
  expect(children[1]?.heard[0]).toMatchObject({type: 'begin', settings: {visitorWaitMs: 7}});
});
