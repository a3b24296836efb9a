// The names of rendezvous, and the hello that leads a connection to one.

import fc from 'fast-check';
import {describe, expect} from 'vitest';
import {ClientHelloReader} from '../../../src/lib/bytes/client-hello.js';
import {
  behindHello,
  newRendezvousId,
  RENDEZVOUS_SIDES,
  rendezvousHello,
  rendezvousIn,
  workerOfRendezvous,
} from '../../../src/lib/protocol/rendezvous.js';
import {test} from '../../helpers/test.js';

const DOMAIN = 'relay.example.net';

test('an id tells its worker', () => {
  for (const worker of [0, 1, 0x7f, 0xffff]) expect(workerOfRendezvous(newRendezvousId(worker))).toBe(worker);
  expect(newRendezvousId(1)).not.toBe(newRendezvousId(1));
});

test('the hello is a ClientHello with the place as its name, and ends where the bytes behind it begin', () => {
  const more = fc.uint8Array({maxLength: 600});
  fc.assert(
    fc.property(fc.constantFrom(...RENDEZVOUS_SIDES), fc.nat(0xffff), more, (side, worker, behind) => {
      const place = {side, id: newRendezvousId(worker)};
      const head = Buffer.concat([rendezvousHello(place, DOMAIN), behind]);
      const answer = new ClientHelloReader().push(head);
      expect(answer).toMatchObject({state: 'hello', alpn: []});
      const {serverName} = answer as {serverName?: string};
      expect(rendezvousIn(serverName ?? '', DOMAIN)).toEqual(place);
      expect(behindHello(head)).toEqual(Buffer.from(behind));
    }),
  );
});

describe('a name that is no place of a rendezvous', () => {
  const id = newRendezvousId(0);
  test.for([
    ['the relay itself', DOMAIN],
    ['a tunnel', `opener-${id}.${DOMAIN}`],
    ['another relay', `opener-${id}.rendezvous.relay.example.com`],
    ['no side', `visitor-${id}.rendezvous.${DOMAIN}`],
    ['a short id', `opener-${id.slice(1)}.rendezvous.${DOMAIN}`],
    ['a long id', `opener-${id}0.rendezvous.${DOMAIN}`],
    ['upper case', `opener-${id.slice(0, -1)}A.rendezvous.${DOMAIN}`],
    ['one label more', `www.opener-${id}.rendezvous.${DOMAIN}`],
    ['more behind the id', `opener-${id}-1.rendezvous.${DOMAIN}`],
    ['no id', `opener.rendezvous.${DOMAIN}`],
    ['nothing in front', `rendezvous.${DOMAIN}`],
  ])('%s', ([, name]) => expect(rendezvousIn(name as string, DOMAIN)).toBeUndefined());
});
