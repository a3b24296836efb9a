// In which order an agent asks the places where its relay may be.
import {expect, test} from 'vitest';
import {RelayPlaces} from '../../../src/lib/agent/relay-places.js';

const noSession = {hasSession: false};

test('nobody has sent the agent anywhere: it stays where it was told to look', () => {
  const places = new RelayPlaces();
  places.failed(noSession);
  expect(places.next).toBeUndefined();
  expect(places.failedElsewhere).toBe(false);
});

test('the places named, the first one first, then the own one, and around again', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a', 'https://b']);
  const asked = Array.from({length: 4}, () => {
    const {next} = places;
    places.failed(noSession);
    return next;
  });
  expect(asked).toEqual(['https://a', 'https://b', undefined, 'https://a']);
});

test('a session is only where it was: its place is asked until it is over', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a']);
  places.failed({hasSession: true});
  expect(places.next).toBe('https://a');
});

test('who is refused elsewhere may still be taken at home', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a']);
  places.failed(noSession);
  expect(places.failedElsewhere).toBe(true);
  places.failed(noSession);
  expect(places.failedElsewhere).toBe(false);
});

test('a relay that names nobody will be back: the agent stays', () => {
  const places = new RelayPlaces();
  places.sentTo(['https://a']);
  places.sentTo([]);
  expect(places.next).toBe('https://a');
});
