// Five addresses carry five times the connections of one: 10,000 connections to three destinations with 1,000 local ports.

import {fork} from 'node:child_process';
import {once} from 'node:events';
import {expect} from 'vitest';
import {EgressRig, SOURCES} from '../../../helpers/egress.js';
import {test} from '../../../helpers/test.js';

const CONNECTIONS = 10_000;
const AT_ONCE = 100;

test('10,000 connections to three destinations through five addresses with 1,000 ports', async ({scope}) => {
  const places = fork(new URL('../../../helpers/place-counter.js', import.meta.url));
  scope.onEnd(() => void places.kill());
  const [ports] = (await once(places, 'message')) as [number[]];
  const rig = await EgressRig.start(scope, {
    settings: {egressPorts: [27_000, 27_999], egressPerSecondPerOwner: 2_000},
  });
  let next = 0;
  const refused: string[] = [];
  const openSome = async () => {
    while (next < CONNECTIONS) {
      const port = ports[next % ports.length] as number;
      next += 1;
      await rig.open({port, spread: true}).catch((error: Error) => void refused.push(error.message));
    }
  };
  await Promise.all(Array.from({length: AT_ONCE}, openSome));
  expect(refused).toEqual([]);
  expect(rig.egress.open).toBe(CONNECTIONS);
  const sum = (all: [string, number][]) => all.reduce((so, [, count]) => so + count, 0);
  let counts: [string, number][] = [];
  await expect
    .poll(async () => {
      places.send('counts');
      [counts] = (await once(places, 'message')) as [[string, number][]];
      return sum(counts);
    })
    .toBe(CONNECTIONS);
  // Each address has its share at each destination, and no pair has more connections than there are ports.
  expect(counts).toHaveLength(SOURCES.length * ports.length);
  for (const [, count] of counts) expect(count).toBeLessThanOrEqual(1_000);
  for (const source of SOURCES)
    expect(sum(counts.filter(([key]) => key.startsWith(`${source} `)))).toBe(CONNECTIONS / SOURCES.length);
}, 60_000);
