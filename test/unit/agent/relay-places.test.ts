// In which order an agent asks the places where its relay may be.
import {expect, test} from 'vitest';
import {RelayPlaces} from '../../../src/lib/agent/relay-places.js';

const asked = (places: RelayPlaces, count: number) =>
  Array.from({length: count}, () => {
    const {next} = places;
    places.failed();
    return next;
  });

test('nobody has sent the agent anywhere: it stays where it was told to look', () => {
  expect(asked(new RelayPlaces(), 2)).toEqual([undefined, undefined]);
});

test('the places named, the first one first, then the own one, and around again', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a', 'https://b']);
  expect(asked(places, 4)).toEqual(['https://a', 'https://b', undefined, 'https://a']);
});

test('the own one first, when the one elsewhere is gone', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a', 'https://b']);
  places.homeFirst();
  expect(asked(places, 4)).toEqual([undefined, 'https://a', 'https://b', undefined]);
});

test('back at home the others are forgotten', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a']);
  places.home();
  expect(asked(places, 2)).toEqual([undefined, undefined]);
});

test('a relay that names nobody will be back: the agent stays', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a']);
  places.sentTo([]);
  expect(places.next).toBe('https://a');
});
