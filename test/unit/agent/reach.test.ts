// When a tunnel is probed again, and which changes are told.

import {expect, test} from 'vitest';
import type {Probed} from '../../../src/lib/agent/prober.js';
import {Reach} from '../../../src/lib/agent/reach.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const good: Probed = {ok: true, by: 'agent', ms: 20};
const noDns: Probed = {ok: false, by: 'agent', leg: 'dns', reason: 'the name does not resolve'};
const noTcp: Probed = {ok: false, by: 'relay', leg: 'tcp', reason: 'the connection was refused'};

class World {
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  results: (Probed | undefined)[] = [];
  probes = 0;
  readonly reach = new Reach({
    clock: this.clock,
    probe: async () => {
      this.probes += 1;
      return this.results.shift();
    },
    onEvent: ({state, code}) => this.told.push(code ?? state),
  });

  /** Longer than any wait. */
  async next(): Promise<void> {
    this.clock.advance(120_000);
    await new Promise(setImmediate);
  }
}

test('a first probe that arrives is a fact of `ready`, and nothing more is told or tried', async () => {
  const world = new World();
  world.results = [good];
  await world.reach.first();
  world.reach.begin();
  expect(world.reach.fact).toEqual({probe: 'passed'});
  expect([world.told, world.clock.pending]).toEqual([[], 0]);
});

test('a failure is told after `ready`, once for each leg, until one arrives', async () => {
  const world = new World();
  world.results = [noDns, noDns, noTcp, good];
  await world.reach.first();
  expect([world.reach.fact, world.told]).toEqual([{probe: 'failed'}, []]);
  world.reach.begin();
  for (const _ of [1, 2, 3]) await world.next();
  expect(world.told).toEqual(['PROBE_DNS', 'PROBE_TCP', 'passed']);
  expect(world.clock.pending).toBe(0);
});

test('after a lost link the result is told, and a failure only after three attempts', async () => {
  const world = new World();
  world.results = [good, good, noTcp, noTcp, noTcp, good];
  await world.reach.first();
  world.reach.begin();
  world.reach.again();
  await world.next();
  expect(world.told).toEqual(['passed']);
  world.reach.again();
  for (const _ of [1, 2]) await world.next();
  expect(world.told).toEqual(['passed']);
  for (const _ of [1, 2]) await world.next();
  expect(world.told).toEqual(['passed', 'PROBE_TCP', 'passed']);
});

test('a relay that does not know probes turns them off', async () => {
  const world = new World();
  world.results = [good, undefined];
  await world.reach.first();
  world.reach.again();
  await world.next();
  expect([world.told, world.clock.pending]).toEqual([['off'], 0]);
});

test('a link that is lost during a probe makes its result worthless, and the end stops everything', async () => {
  const world = new World();
  world.results = [noDns, good];
  const first = world.reach.first();
  world.reach.again();
  await first;
  expect(world.reach.fact).toEqual({});
  world.reach.end();
  await world.next();
  expect([world.told, world.probes, world.clock.pending]).toEqual([[], 1, 0]);
});
