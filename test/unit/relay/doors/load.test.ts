// The load of a process is the sum of the counts of its parts.

import {expect, test} from 'vitest';
import {Load} from '../../../../src/lib/relay/doors/load.js';

test('a part registers itself, and its counts are read when they are needed', () => {
  const load = new Load();
  expect([load.connections, load.idleBytes]).toEqual([0, 0]);
  const open = {visitors: 2, agents: 1};
  load.add({connections: () => open.visitors, idleBytes: () => open.visitors * 100});
  load.add({connections: () => open.agents});
  expect([load.connections, load.idleBytes]).toEqual([3, 200]);
  open.visitors = 0;
  expect([load.connections, load.idleBytes]).toEqual([1, 0]);
});
