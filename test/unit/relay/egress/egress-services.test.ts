// The services of egress: the list for a token, and look-ups with their limits.

import {expect} from 'vitest';
import {rightsOf} from '../../../../src/lib/relay/access/rights.js';
import {LookUps} from '../../../../src/lib/relay/egress/look-ups.js';
import {EgressRig} from '../../../helpers/egress.js';
import {test} from '../../../helpers/test.js';

const SETTINGS = {egress: ['four=127.0.0.2,127.0.0.3', 'six=::1', 'both=127.0.0.2,::1']};

test('an agent sees the egresses that its token allows', async ({scope}) => {
  const rig = await EgressRig.start(scope, {settings: SETTINGS});
  const four = {
    name: 'four',
    addresses: [
      {address: '127.0.0.2', healthy: true},
      {address: '127.0.0.3', healthy: true},
    ],
  };
  expect(await rig.ask({service: 'egress'})).toMatchObject({egresses: [four, {name: 'six'}, {name: 'both'}]});
  rig.principal = {...rig.principal, rights: rightsOf(['egress:four', 'name:*'])};
  expect(await rig.ask({service: 'egress'})).toEqual({egresses: [four]});
  rig.principal = {...rig.principal, rights: rightsOf(['name:*'])};
  expect(await rig.ask({service: 'egress'})).toEqual({egresses: []});
});

test('a look-up has the addresses of the families that the egress has', async ({scope}) => {
  const rig = await EgressRig.start(scope, {
    settings: SETTINGS,
    names: {
      'db.corp': ['192.0.2.1', '2001:db8::1'],
      'six.corp': ['2001:db8::1'],
      'many.corp': Array.from({length: 100}, (_, at) => `192.0.2.${at + 1}`),
      'inner.corp': ['10.0.0.1', '169.254.169.254'],
      'mixed.corp': ['10.0.0.1', '192.0.2.1'],
      'broken.corp': () => Promise.reject(new Error('SERVFAIL')),
    },
  });
  const resolve = async (egress: string, name: string) => await rig.ask({service: 'resolve', egress, name});
  expect(await resolve('four', 'db.corp')).toEqual({addresses: ['192.0.2.1']});
  expect(await resolve('six', 'DB.corp.')).toEqual({addresses: ['2001:db8::1']});
  expect(await resolve('both', 'db.corp')).toEqual({addresses: ['192.0.2.1', '2001:db8::1']});
  expect(await resolve('four', 'six.corp')).toEqual({error: 'ENOTFOUND'});
  // The relay's own network is nobody's business.
  expect(await resolve('four', 'inner.corp')).toEqual({error: 'EACCES'});
  expect(await resolve('four', 'mixed.corp')).toEqual({addresses: ['192.0.2.1']});
  expect(await resolve('four', 'nowhere.corp')).toEqual({error: 'ENOTFOUND'});
  expect(await resolve('four', '127.1')).toEqual({error: 'ENOTFOUND'});
  expect(await resolve('four', 'broken.corp')).toEqual({error: 'EAGAIN'});
  expect(await resolve('four', 'demo.r1.example')).toEqual({error: 'EACCES'});
  expect(await resolve('four', '192.0.2.9')).toEqual({addresses: ['192.0.2.9']});
  expect(((await resolve('four', 'many.corp')) as {addresses: string[]}).addresses).toHaveLength(64);
  expect(rig.lookedUp).not.toContain('demo.r1.example');
  await expect(resolve('other', 'db.corp')).rejects.toMatchObject({code: 'EGRESS_UNKNOWN'});
  rig.principal = {...rig.principal, rights: rightsOf(['egress:six'], ['*.corp:443'])};
  await expect(resolve('four', 'db.corp')).rejects.toMatchObject({code: 'NOT_ALLOWED'});
  expect(await resolve('six', 'db.corp')).toEqual({addresses: ['2001:db8::1']});
  expect(await resolve('six', 'db.example')).toEqual({error: 'EACCES'});
});

test('an owner with slow names waits for itself alone, in a bounded line', async () => {
  const waiting: (() => void)[] = [];
  let running = 0;
  const lookUps = new LookUps({
    find: async (name) => {
      if (!name.startsWith('slow')) return ['192.0.2.1'];
      running += 1;
      await new Promise<void>((resolve) => waiting.push(resolve));
      running -= 1;
      return [];
    },
  });
  const slow = Array.from({length: 100}, (_, at) => lookUps.find('mallory', `slow${at}.corp`));
  const settled = Promise.allSettled(slow);
  expect(running).toBe(8);
  expect(await lookUps.find('ana', 'db.corp')).toEqual(['192.0.2.1']);
  while (running > 0) {
    expect(running).toBeLessThanOrEqual(8);
    waiting.shift()?.();
    await new Promise(setImmediate);
  }
  const states = (await settled).map((each) => (each.status === 'fulfilled' ? 'found' : each.reason.code));
  expect(states.filter((state) => state === 'found')).toHaveLength(72);
  expect(states.filter((state) => state === 'EBUSY')).toHaveLength(28);
  expect(lookUps.owners).toBe(0);
});
