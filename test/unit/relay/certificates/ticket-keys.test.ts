import {expect, test} from 'vitest';
import {TicketKeys} from '../../../../src/lib/relay/certificates/ticket-keys.js';

const secret = Buffer.alloc(48, 7);
const one = {name: 'a.r1.localhost', owner: 'one', key: 'a key'};

test('contexts of one name, owner and certificate key share the keys of their tickets', () => {
  const keys = new TicketKeys(secret);
  expect(keys.of(one)).toHaveLength(48);
  expect(keys.of({...one})).toEqual(keys.of(one));
  expect(new TicketKeys(secret).of(one)).toEqual(keys.of(one));
});

test.for([
  {...one, name: 'b.r1.localhost'},
  {...one, owner: 'another'},
  {...one, key: 'another key'},
  // The same characters, divided otherwise.
  {name: 'a.r1.localhosto', owner: 'ne', key: 'a key'},
])('others do not: %o', (other) => {
  const keys = new TicketKeys(secret);
  const [mine, theirs] = [keys.of(one), keys.of(other)];
  // Node divides them into a name, a key of the MAC and a key of the cipher.
  for (const at of [0, 16, 32]) expect(theirs.subarray(at, at + 16)).not.toEqual(mine.subarray(at, at + 16));
});

test('the keys of two relays have nothing in common', () => {
  expect(new TicketKeys().of(one)).not.toEqual(new TicketKeys().of(one));
});
