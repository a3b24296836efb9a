// In which order an agent asks the places where its relay may be.
import {expect, test} from 'vitest';
import {RelayPlaces} from '../../../src/lib/agent/relay-places.js';
import {ManualClock} from '../../helpers/manual-clock.js';

const HOUR_MS = 3_600_000;

function setUp({takes = (): boolean => true} = {}) {
  const clock = new ManualClock();
  const homeward: number[] = [];
  const places = new RelayPlaces({
    clock,
    onHomeward: () => {
      homeward.push(clock.now());
      return takes();
    },
  });
  /** Where so many attempts go that all fail. */
  const asked = (count: number) =>
    Array.from({length: count}, () => {
      const place = places.take();
      places.failed(place);
      return place.url;
    });
  return {clock, places, asked, homeward};
}

test('nobody has sent the agent anywhere: it stays where it was told to look', () => {
  const {asked, places} = setUp();
  expect(asked(2)).toEqual([undefined, undefined]);
  expect(places.triedElsewhere).toBe(false);
});

test('the places named, the first one first, then the own one, and around again', () => {
  const {asked, places} = setUp();
  places.sentTo(['https://a', 'https://b']);
  expect(asked(4)).toEqual(['https://a', 'https://b', undefined, 'https://a']);
  expect(places.triedElsewhere).toBe(true);
});

test('the own one first, when the one elsewhere is gone', () => {
  const {asked, places} = setUp();
  places.sentTo(['https://a', 'https://b']);
  places.homeFirst();
  expect(asked(4)).toEqual([undefined, 'https://a', 'https://b', undefined]);
});

test('a relay that names nobody will be back: the agent stays', () => {
  const {asked, places} = setUp();
  places.sentTo(['https://a']);
  places.sentTo([]);
  expect(asked(1)).toEqual(['https://a']);
});

test('from elsewhere it looks at home after ten to twelve minutes, and again when that failed', () => {
  const {clock, places, homeward} = setUp();
  places.sentTo(['https://a']);
  places.arrived(places.take());
  expect(places.servesElsewhere).toBe(true);
  clock.advance(720_000);
  expect(homeward).toHaveLength(1);
  expect(homeward[0]).toBeGreaterThanOrEqual(600_000);
  const place = places.take();
  expect(place).toEqual({url: undefined, isHomeward: true});
  places.failed(place);
  expect(places.take()).toEqual({url: 'https://a', isHomeward: false});
  clock.advance(720_000);
  expect(homeward).toHaveLength(2);
});

test('not while its link is away: it looks again later', () => {
  const {clock, places, homeward} = setUp({takes: () => false});
  places.sentTo(['https://a']);
  places.arrived(places.take());
  clock.advance(720_000);
  expect(homeward).toHaveLength(1);
  expect(places.take()).toEqual({url: 'https://a', isHomeward: false});
  clock.advance(720_000);
  expect(homeward).toHaveLength(2);
});

test('back at home the others are forgotten, and nothing is looked for', () => {
  const {clock, places, homeward, asked} = setUp();
  places.sentTo(['https://a']);
  places.arrived(places.take());
  places.homeFirst();
  places.arrived(places.take());
  expect(places.servesElsewhere).toBe(false);
  clock.advance(HOUR_MS);
  expect(homeward).toEqual([]);
  expect(asked(2)).toEqual([undefined, undefined]);
  expect(clock.pending).toBe(0);
});

test('after the end nothing is looked for', () => {
  const {clock, places} = setUp();
  places.sentTo(['https://a']);
  places.arrived(places.take());
  places.end();
  expect(clock.pending).toBe(0);
});
