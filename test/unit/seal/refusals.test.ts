// Events about refusals have a bounded rate.
import {expect, test} from 'vitest';
import {type Refusal, Refusals} from '../../../src/lib/seal/refusals.js';

test('the same refusal is told once in a while, many different ones at a rate', () => {
  const told: Refusal[] = [];
  const refusals = new Refusals((refusal) => told.push(refusal));
  refusals.tell('a.example', 80, 'not-allowed', 0);
  for (let at = 0; at < 100; at += 1) refusals.tell('a.example', 80, 'not-allowed', at);
  refusals.tell('a.example', 81, 'not-allowed', 100);
  expect(told).toEqual([
    {host: 'a.example', port: 80, why: 'not-allowed', untold: 0},
    {host: 'a.example', port: 81, why: 'not-allowed', untold: 100},
  ]);
  for (let at = 0; at < 10_000; at += 1) refusals.tell(`n${at}.example`, undefined, 'not-allowed', 200);
  expect(told.length).toBeLessThanOrEqual(21);
  refusals.tell('b.example', 80, 'limit', 1_200);
  expect(told.at(-1)).toMatchObject({host: 'b.example', untold: expect.any(Number)});
  expect(told.reduce((sum, {untold}) => sum + untold + 1, 0)).toBe(10_103);
  refusals.tell('a.example', 80, 'not-allowed', 40_000);
  expect(told.at(-1)).toMatchObject({host: 'a.example', port: 80});
});
