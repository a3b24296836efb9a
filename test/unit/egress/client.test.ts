// What an egress client asks a relay for, and what its users get for refusals and for answers that cannot be read.

import {describe, expect, test} from 'vitest';
import {streamCodeOf} from '../../../src/lib/agent/refused-stream.js';
import {EgressClient, listEgresses, lookUpCodeOf} from '../../../src/lib/egress/client.js';
import {fakeLink} from '../../helpers/fake-link.js';

describe('connect', () => {
  test('sends the destination as the program means it', async () => {
    const {link, asked} = fakeLink({}, {}, {});
    const client = new EgressClient(link, {egress: 'my-proxy'});
    await client.connect({host: 'db.corp', port: 5432});
    await client.connect({host: '[2001:db8::1]', port: 443});
    await new EgressClient(link, {egress: 'my-proxy', spread: true}).connect({host: '192.0.2.1', port: 1});
    expect(asked).toEqual([
      {egress: 'my-proxy', host: 'db.corp', port: 5432, spread: false},
      {egress: 'my-proxy', host: '2001:db8::1', port: 443, spread: false},
      {egress: 'my-proxy', host: '192.0.2.1', port: 1, spread: true},
    ]);
  });

  test.each([
    ['', 80, 'TARGET_INVALID'],
    ['a b', 80, 'TARGET_INVALID'],
    ['db\u0000', 80, 'TARGET_INVALID'],
    ['x'.repeat(254), 80, 'TARGET_INVALID'],
    ['bücher.example', 80, 'TARGET_INVALID'],
    ['db.corp', 0, 'PORT_RANGE'],
    ['db.corp', 65_536, 'PORT_RANGE'],
    ['db.corp', 1.5, 'PORT_INVALID'],
  ])('%j port %s is refused here: %s', async (host, port, code) => {
    const {link, asked} = fakeLink();
    await expect(new EgressClient(link, {egress: 'e'}).connect({host, port})).rejects.toMatchObject({code});
    expect(asked).toEqual([]);
  });

  test.each([
    [['EGRESS_UNKNOWN'], 'EGRESS_UNKNOWN', 'The relay has no such egress: db.corp:5432.'],
    [['EGRESS_FORBIDDEN', 'db.corp is private.'], 'EGRESS_FORBIDDEN', 'db.corp is private.'],
    [['EGRESS_UNHEALTHY'], 'EGRESS_UNREACHABLE', 'No address of the egress can be used now: db.corp:5432.'],
    [['NAME_UNKNOWN'], 'EGRESS_UNREACHABLE', 'The name does not exist: db.corp:5432.'],
    [['UNREACHABLE', 'no route'], 'EGRESS_UNREACHABLE', 'no route'],
    [['UPSTREAM_REFUSED'], 'EGRESS_UNREACHABLE', /does not accept connections on this port: db.corp:5432/],
    [['UPSTREAM_TIMEOUT'], 'EGRESS_UNREACHABLE', /does not answer/],
    [['NOT_ALLOWED', 'The token does not allow this.'], 'NOT_ALLOWED', 'The token does not allow this.'],
    [['TOO_MANY_STREAMS'], 'RELAY_BUSY', 'Too many connections are open: db.corp:5432.'],
    [['KIND_UNKNOWN'], 'RELAY_LACKS_FEATURE', 'The relay offers no egress: db.corp:5432.'],
    [['DRAINING'], 'RELAY_LEAVING', 'The relay is shutting down.'],
  ] as const)('refused by %j: %s', async (refusal, code, message) => {
    const client = new EgressClient(fakeLink(refusal).link, {egress: 'my-proxy'});
    const error: unknown = await client.connect({host: 'db.corp', port: 5432}).catch((error) => error);
    expect(error).toMatchObject({
      code,
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
    expect(streamCodeOf(error)).toBe(refusal[0]);
  });
});

test.each(['', 'My Proxy', '*', '../x', 'x'.repeat(64)])('%j is no name of an egress', (egress) => {
  expect(() => new EgressClient(fakeLink().link, {egress})).toThrow(
    expect.objectContaining({code: 'EGRESS_UNKNOWN'}),
  );
});

describe('resolve', () => {
  test('gives the addresses that the relay sees', async () => {
    const {link, asked} = fakeLink({addresses: ['192.0.2.1', '2001:db8::1']});
    expect(await new EgressClient(link, {egress: 'e'}).resolve('db.corp')).toEqual([
      '192.0.2.1',
      '2001:db8::1',
    ]);
    expect(asked).toEqual([{service: 'resolve', egress: 'e', name: 'db.corp'}]);
  });

  test.each([
    ['ENOTFOUND', 'EGRESS_UNREACHABLE'],
    ['EAGAIN', 'EGRESS_UNREACHABLE'],
    ['EBUSY', 'RELAY_BUSY'],
    ['EACCES', 'EGRESS_FORBIDDEN'],
  ] as const)(
    '%s is an error with the code %s, and a resolver can answer with the first',
    async (error, code) => {
      const client = new EgressClient(fakeLink({error}).link, {egress: 'e'});
      const thrown: unknown = await client.resolve('db.corp').catch((error) => error);
      expect(thrown).toMatchObject({code, message: expect.stringMatching(/^db\.corp /)});
      expect(lookUpCodeOf(thrown)).toBe(error);
    },
  );

  test('a list without addresses is a name without any', async () => {
    const client = new EgressClient(fakeLink({}).link, {egress: 'e'});
    expect(lookUpCodeOf(await client.resolve('db.corp').catch((error) => error))).toBe('ENOTFOUND');
  });

  test.each(['', 'a b', 'x'.repeat(254)])('%j does not exist, and nobody is asked', async (name) => {
    const {link, asked} = fakeLink();
    const thrown: unknown = await new EgressClient(link, {egress: 'e'}).resolve(name).catch((error) => error);
    expect(lookUpCodeOf(thrown)).toBe('ENOTFOUND');
    expect(asked).toEqual([]);
  });

  test.each([{addresses: 'x'}, {addresses: ['evil\u001b']}, {error: 'EVIL'}, []])(
    'an answer that cannot be read is the relay’s fault: %j',
    async (answer) => {
      const client = new EgressClient(fakeLink(answer).link, {egress: 'e'});
      await expect(client.resolve('db.corp')).rejects.toMatchObject({code: 'RELAY_LOST'});
    },
  );
});

describe('list', () => {
  test('gives what the token allows', async () => {
    const egresses = [{name: 'my-proxy', addresses: [{address: '203.0.113.1', healthy: true}]}];
    expect(await listEgresses(fakeLink({egresses}).link)).toEqual(egresses);
  });

  test('a relay without the service offers none', async () => {
    await expect(listEgresses(fakeLink(['SERVICE_UNKNOWN']).link)).rejects.toMatchObject({
      code: 'RELAY_LACKS_FEATURE',
      message: 'The relay offers no egress.',
    });
  });
});
