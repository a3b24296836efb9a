// The counts of sessions, which decide an agent's share of its owner's names.

import {expect, test} from 'vitest';
import {SessionCounts} from '../../../../src/lib/relay/agents/session-counts.js';
import {SessionsOfWorkers} from '../../../../src/lib/relay/workers/sessions-of-workers.js';

test('each worker knows the sessions of all workers', () => {
  const sessions = new SessionsOfWorkers<string>();
  sessions.set('one', 'ann', 2);
  sessions.set('two', 'ann', 3);
  sessions.set('two', 'bob', 1);
  expect(sessions.besides('one', 'ann')).toBe(3);
  expect(sessions.besides('three', 'ann')).toBe(5);
  expect(sessions.owners).toEqual(['ann', 'bob']);
  expect(sessions.left('two')).toEqual(['ann', 'bob']);
  expect(sessions.besides('one', 'ann')).toBe(0);
  sessions.set('one', 'ann', 0);
  expect(sessions.left('one')).toEqual([]);
});

test('a worker adds the sessions of the others to its own', () => {
  const counts = new SessionCounts();
  const told: string[] = [];
  counts.onChange = (owner, count) => told.push(`${owner} ${count}`);
  counts.add('ann', 1);
  counts.setElsewhere('ann', 4);
  expect(counts.of('ann')).toBe(5);
  counts.add('ann', -1);
  counts.setElsewhere('ann', 0);
  expect(counts.of('ann')).toBe(0);
  expect(told).toEqual(['ann 1', 'ann 0']);
});
