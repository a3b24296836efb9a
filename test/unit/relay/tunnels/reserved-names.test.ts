// Names that need a scope of their own, and names that look like one of them.

import {describe, expect, test} from 'vitest';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {createLogger} from '../../../../src/lib/core/logger.js';
import type {Session} from '../../../../src/lib/mux/session.js';
import {RESERVED} from '../../../../src/lib/protocol/names.js';
import {ABUSE_SETTINGS} from '../../../../src/lib/relay/abuse-settings.js';
import {type Principal, unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {rightsOf} from '../../../../src/lib/relay/access/rights.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {ReservedNames} from '../../../../src/lib/relay/tunnels/reserved-names.js';
import {TcpPorts} from '../../../../src/lib/relay/tunnels/tcp-ports.js';
import {TunnelTable} from '../../../../src/lib/relay/tunnels/tunnel-table.js';

const reserved = new ReservedNames({
  domain: 'relay.acme-corp.example.net',
  reservedNames: ['bank', '*paypal*'],
});

test.each([
  ['www', ['name:*'], 'reserved'],
  ['www', ['name:w*', 'name:@random'], 'reserved'],
  ['www', ['name:www'], 'fine'],
  ['www', ['name:*', 'name:www'], 'fine'],
  ['login', ['name:www'], 'reserved'],
  ['l0gin', ['name:*'], 'looks like login'],
  ['log-in', ['name:*'], 'looks like login'],
  ['1ogin', ['name:*'], 'looks like login'],
  ['adrnin', ['name:*'], 'looks like admin'],
  ['vvvvvv', ['name:*'], 'looks like www'],
  ['web-mai1', ['name:*'], 'looks like webmail'],
  ['l0gin', ['name:l0gin'], 'fine'],
  ['bank', ['name:*'], 'reserved'],
  ['8ank', ['name:*'], 'looks like bank'],
  ['my-paypal-shop', ['name:*'], 'reserved'],
  ['paypa1', ['name:*'], 'reserved'],
  ['acme-corp', ['name:*'], 'reserved'],
  ['acmecorp', ['name:*'], 'looks like acme-corp'],
  ['relay-acme-corp-example-net', ['name:*'], 'reserved'],
  ['demo', ['name:*'], 'fine'],
  ['shop-of-ana', ['name:*'], 'fine'],
  ['my-app', ['name:*'], 'fine'],
  ['blog2', ['name:*'], 'fine'],
  ['node5', ['name:*'], 'fine'],
  ['c4', ['name:*'], 'fine'],
  ['emai1', ['name:*'], 'looks like email'],
  ['net', ['name:*'], 'fine'],
])('%s with %j: %s', (name, scopes, verdict) => {
  const check = () => {
    try {
      reserved.check(name, rightsOf(scopes));
      return 'fine';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  expect(check()).toContain(verdict);
});

test('other names of the operator apply after a reload, and the usual ones stay', () => {
  const names = new ReservedNames({domain: 'r1.test', reservedNames: ['bank']});
  names.reload({reservedNames: ['shop*']});
  const refused = ['bank', 'shopping', 'www'].filter((name) => {
    try {
      names.check(name, rightsOf(['name:*']));
      return false;
    } catch {
      return true;
    }
  });
  expect(refused).toEqual(['shopping', 'www']);
});

test('the edition differs when the names do, and only then', () => {
  const names = new ReservedNames({domain: 'r1.test', reservedNames: ['bank', 'shop*']});
  const editions = [['bank', 'shop*'], ['bank'], ['bank'], []].map((reservedNames) => {
    names.reload({reservedNames});
    return names.edition;
  });
  expect(editions).toEqual([1, 2, 2, 3]);
});

describe('a bind', () => {
  const withScopes = (scopes: string[]): Principal => ({
    ...unlimitedPrincipal('ana'),
    rights: rightsOf(scopes),
  });
  test.each<[string, Principal, string]>([
    ['www', unlimitedPrincipal('everybody'), 'NAME_RESERVED'],
    ['www', withScopes(['name:*']), 'NAME_RESERVED'],
    ['www', withScopes(['name:www']), 'bound'],
    ['w-w-w', withScopes(['name:*']), 'NAME_RESERVED'],
    ['xn--pypal-4ve', withScopes(['name:xn--pypal-4ve']), 'NAME_INVALID'],
    ['demo', withScopes(['name:www']), 'NOT_ALLOWED'],
  ])('of %s', async (name, principal, expected) => {
    const tunnels = new TunnelTable({
      domain: 'r1.test',
      publicPort: () => 443,
      tcpPublicHost: 'r1.test',
      h2Offered: true,
      leases: new MemoryLeases({graceMs: 0}),
      ports: new TcpPorts({range: undefined, host: '127.0.0.1', reusePort: false}),
      events: {emit: () => {}},
      clock: systemClock,
      log: createLogger('test', undefined),
    });
    const bound = tunnels.bind({
      wish: {kind: 'tls', h2: false, name},
      principal,
      claimant: {},
      addresses: undefined,
      session: {link: {}} as Session,
      sessionName: 'ana',
      onLost: () => {},
      warn: () => {},
    });
    const code = await bound.then(
      () => 'bound',
      (error: {code: string}) => error.code,
    );
    expect(code).toBe(expected);
  });
});

test('no usual name looks like an everyday one that is not reserved', () => {
  const free = [
    'demo',
    'test',
    'dev',
    'staging',
    'preview',
    'jupyter',
    'lab',
    'grafana',
    'game',
    'photos',
    'ana',
    'bob',
    'hooks',
  ];
  const names = new ReservedNames({domain: 'r1.test', reservedNames: []});
  for (const name of free) expect(() => names.check(name, rightsOf(['name:*']))).not.toThrow();
  for (const name of RESERVED) expect(() => names.check(name, rightsOf(['name:*']))).toThrow();
});

test.each([
  ['abuse@example.net', 'mailto:abuse@example.net'],
  ['mailto:abuse@example.net', 'mailto:abuse@example.net'],
  ['https://example.net/abuse?of=tunl', 'https://example.net/abuse?of=tunl'],
  ['http://example.net/abuse', undefined],
  ['javascript:alert(1)', undefined],
  ['abuse', undefined],
  ['a@b.c\nContact: x', undefined],
  [`https://example.net/${'a'.repeat(300)}`, undefined],
])('a contact %j', (written, expected) => {
  const {kind} = ABUSE_SETTINGS.abuseContact;
  if (expected === undefined) expect(() => kind.parse(written)).toThrow();
  else expect(kind.parse(written)).toBe(expected);
});
