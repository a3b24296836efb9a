// What a process carries is the sum of what its parts say.

import {expect, test} from 'vitest';
import {Load} from '../../../../src/lib/relay/doors/load.js';

test('a part that carries something adds itself, and its numbers are asked for when they are needed', () => {
  const load = new Load();
  expect([load.connections, load.idleBytes]).toEqual([0, 0]);
  const open = {visitors: 2, agents: 1};
  load.add({connections: () => open.visitors, idleBytes: () => open.visitors * 100});
  load.add({connections: () => open.agents});
  expect([load.connections, load.idleBytes]).toEqual([3, 200]);
  open.visitors = 0;
  expect([load.connections, load.idleBytes]).toEqual([1, 0]);
});
