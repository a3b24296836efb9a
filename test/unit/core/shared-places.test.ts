// Many owners together cannot keep another one out of places that all share.

import {expect} from 'vitest';
import {SharedPlaces} from '../../../src/lib/core/shared-places.js';
import {test} from '../../helpers/test.js';

interface Entry {
  owner: string;
  isIdle?: boolean;
}

function placesOf(most: number, mostOfOne?: number, lead?: number) {
  const lost: Entry[] = [];
  const places = new SharedPlaces<Entry>({
    most,
    ...(mostOfOne !== undefined && {mostOfOne}),
    ...(lead !== undefined && {lead}),
    isIdle: ({isIdle}) => isIdle === true,
    onLost: (entry) => void lost.push(entry),
  });
  return {lost, places, enter: (owner: string) => places.enter(owner, {owner})};
}

test('64 hostile members have taken all: another one still gets its share, and keeps it', () => {
  const {lost, places, enter} = placesOf(1_024, 16);
  const hostile = Array.from({length: 64}, (_, at) => `hostile ${at}`);
  for (const owner of hostile) for (let at = 0; at < 16; at += 1) enter(owner);
  expect(places.size).toBe(1_024);
  for (let at = 0; at < 4; at += 1) expect(enter('honest')).toBe(true);
  for (let round = 0; round < 100; round += 1) for (const owner of hostile) enter(owner);
  expect(lost.some(({owner}) => owner === 'honest')).toBe(false);
  expect(places.size).toBe(1_024);
});

test('256 owners have an equal share, and do not take it from each other', () => {
  const {lost, enter} = placesOf(1_024, 16);
  for (let owner = 0; owner < 256; owner += 1)
    for (let at = 0; at < 4; at += 1) expect(enter(`${owner}`)).toBe(true);
  expect(enter('0')).toBe(false);
  expect(lost).toEqual([]);
});

test('without a lead everybody comes in: of owners with one entry each the oldest gives it up', () => {
  const {lost, places, enter} = placesOf(3, undefined, 0);
  for (const owner of ['a', 'b', 'c', 'd', 'd', 'd', 'b']) expect(enter(owner)).toBe(true);
  expect(lost.map(({owner}) => owner)).toEqual(['a', 'b', 'd', 'd']);
  expect(places.size).toBe(3);
});

test('one that has its most gives up an idle entry of its own, or the oldest', () => {
  const {lost, places} = placesOf(8, 3);
  const entries: Entry[] = [
    {owner: 'a'},
    {owner: 'a', isIdle: true},
    {owner: 'a'},
    {owner: 'a'},
    {owner: 'a'},
  ];
  for (const entry of entries) places.enter('a', entry);
  expect(lost).toEqual([entries[1], entries[0]]);
  expect(places.size).toBe(3);
  for (const entry of entries) places.leave('a', entry);
  expect(places.size).toBe(0);
});
