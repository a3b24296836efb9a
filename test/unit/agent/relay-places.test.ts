// The order in which an agent tries the places where its relay may be.
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
  /** The places of so many attempts that all fail. */
  const asked = (count: number) =>
    Array.from({length: count}, () => {
      const place = places.take();
      places.failed(place);
      return place.url;
    });
  return {clock, places, asked, homeward};
}

test('without other places the agent keeps trying its own relay', () => {
  const {asked, places} = setUp();
  expect(asked(2)).toEqual([undefined, undefined]);
  expect(places.triedElsewhere).toBe(false);
});

test('the agent tries the named places in order, then its own relay, then the places again', () => {
  const {asked, places} = setUp();
  places.sentTo(['https://a', 'https://b']);
  expect(asked(4)).toEqual(['https://a', 'https://b', undefined, 'https://a']);
  expect(places.triedElsewhere).toBe(true);
});

test('the agent tries its own relay first when the other one is gone', () => {
  const {asked, places} = setUp();
  places.sentTo(['https://a', 'https://b']);
  places.homeFirst();
  expect(asked(4)).toEqual([undefined, 'https://a', 'https://b', undefined]);
});

test('a relay that names no other will be back: the agent stays', () => {
  const {asked, places} = setUp();
  places.sentTo(['https://a']);
  places.sentTo([]);
  expect(asked(1)).toEqual(['https://a']);
});

test('at another relay it tries its own after ten to twelve minutes, and again after a failure', () => {
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

test('while its link is lost the agent does not try its own relay; it does so later', () => {
  const {clock, places, homeward} = setUp({takes: () => false});
  places.sentTo(['https://a']);
  places.arrived(places.take());
  clock.advance(720_000);
  expect(homeward).toHaveLength(1);
  expect(places.take()).toEqual({url: 'https://a', isHomeward: false});
  clock.advance(720_000);
  expect(homeward).toHaveLength(2);
});

test('back at its own relay the others are forgotten, and the attempts end', () => {
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

test('no attempts after the end', () => {
  const {clock, places} = setUp();
  places.sentTo(['https://a']);
  places.arrived(places.take());
  places.end();
  expect(clock.pending).toBe(0);
});
