import {expect, test} from 'vitest';
import {atMost} from '../../../src/lib/core/clock.js';
import {Moment} from '../../../src/lib/core/moment.js';
import {ManualClock} from '../../helpers/manual-clock.js';

test('all waiters continue once, and the event can happen again', async () => {
  const moment = new Moment();
  const told: string[] = [];
  const wait = (who: string) => moment.next().then(() => told.push(who));
  const first = [wait('one'), wait('two')];
  expect(moment.isAwaited).toBe(true);
  moment.happen();
  expect(moment.isAwaited).toBe(false);
  await Promise.all(first);
  const second = wait('three');
  moment.happen();
  moment.happen();
  await second;
  expect(told).toEqual(['one', 'two', 'three']);
});

test('a wait with a limit ends with the event, the limit, or an error, and leaves no timer', async () => {
  const clock = new ManualClock();
  await atMost(clock, 10, Promise.resolve());
  await expect(atMost(clock, 10, Promise.reject(new Error('no')))).rejects.toThrow('no');
  const late = atMost(clock, 10, new Promise(() => {}));
  clock.advance(10);
  await late;
  expect(clock.pending).toBe(0);
});
