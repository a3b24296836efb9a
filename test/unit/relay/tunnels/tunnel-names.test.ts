// Random names, which the relay knows again and nobody can choose.

import {randomBytes} from 'node:crypto';
import {expect, test} from 'vitest';
import {systemClock} from '../../../../src/lib/core/clock.js';
import {createLogger} from '../../../../src/lib/core/logger.js';
import type {Session} from '../../../../src/lib/mux/session.js';
import type {TlsBind} from '../../../../src/lib/protocol/control-messages.js';
import {isRandomLabel} from '../../../../src/lib/protocol/names.js';
import {type Principal, unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {rightsOf} from '../../../../src/lib/relay/access/rights.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {RandomNames} from '../../../../src/lib/relay/tunnels/random-names.js';
import {TcpPorts} from '../../../../src/lib/relay/tunnels/tcp-ports.js';
import {TunnelNames} from '../../../../src/lib/relay/tunnels/tunnel-names.js';
import {TunnelTable} from '../../../../src/lib/relay/tunnels/tunnel-table.js';

/** It has the form of a random name. */
const CHOSEN = 'mybankofamericaloginportal';
const KEY = randomBytes(32);
const drawn = new RandomNames(KEY).draw();

const withScopes = (...scopes: string[]): Principal => ({
  ...unlimitedPrincipal('ana'),
  rights: rightsOf(scopes),
});

/** The name that an agent gets, or the code of the refusal. */
async function bind(
  principal: Principal,
  wish: Partial<TlsBind>,
  {key = KEY, reservedNames = []}: {key?: Buffer; reservedNames?: string[]} = {},
): Promise<string> {
  const domain = 'r1.test';
  const tunnels = new TunnelTable({
    ...{domain, publicPort: () => 443, tcpPublicHost: domain, h2Offered: true},
    leases: new MemoryLeases({graceMs: 0}),
    ports: new TcpPorts({range: undefined, host: '127.0.0.1', reusePort: false}),
    names: new TunnelNames({domain, key, reservedNames}),
    events: {emit: () => {}},
    clock: systemClock,
    log: createLogger('test', undefined),
  });
  const bound = tunnels.bind({
    wish: {kind: 'tls', h2: false, ...wish},
    ...{principal, claimant: {}, addresses: undefined},
    session: {link: {}} as Session,
    ...{sessionName: 'ana', onLost: () => {}, warn: () => {}},
  });
  return await bound.then(
    ({host}) => host.split('.')[0] ?? '',
    (error: {code: string}) => error.code,
  );
}

test('CHOSEN looks like a random name', () => {
  expect([CHOSEN, drawn].map(isRandomLabel)).toEqual([true, true]);
});

test.each([
  ['a random name of the relay', {name: drawn}, ['name:@random'], drawn],
  ['a random name of the relay, preferred', {prefer: drawn}, ['name:@random'], drawn],
  ['one that looks like it', {name: CHOSEN}, ['name:@random'], 'NOT_ALLOWED'],
  ['one that looks like it, by its own scope', {name: CHOSEN}, ['name:@random', `name:${CHOSEN}`], CHOSEN],
  ['one that looks like it, by the scope for all', {name: CHOSEN}, ['name:*'], CHOSEN],
  ['a random name of the relay, by another scope', {name: drawn}, ['name:demo'], 'NOT_ALLOWED'],
])('%s', async (_what, wish, scopes, expected) => {
  expect(await bind(withScopes(...scopes), wish)).toBe(expected);
});

test('another name in place of a chosen one that is preferred', async () => {
  const got = await bind(withScopes('name:@random'), {prefer: CHOSEN});
  expect(got).not.toBe(CHOSEN);
  expect(new RandomNames(KEY).has(got)).toBe(true);
});

test('a name that looks random is reserved like every other one', async () => {
  const reserved = {reservedNames: ['*bank*']};
  expect(await bind(withScopes('name:*'), {name: CHOSEN}, reserved)).toBe('NAME_RESERVED');
  expect(await bind(withScopes('name:*'), {prefer: CHOSEN}, reserved)).not.toBe(CHOSEN);
  expect(await bind(withScopes('name:*', `name:${CHOSEN}`), {name: CHOSEN}, reserved)).toBe(CHOSEN);
  // The operator has reserved a part of it since it was drawn.
  const part = {reservedNames: [`*${drawn.slice(3, 9)}*`]};
  expect(await bind(withScopes('name:@random'), {name: drawn}, part)).toBe('NAME_RESERVED');
});

test('a random name is known by the key alone, and no character of it can be another', () => {
  expect(new RandomNames(KEY).has(drawn)).toBe(true);
  expect(new RandomNames(randomBytes(32)).has(drawn)).toBe(false);
  for (let at = 0; at < drawn.length; at += 1) {
    const other = drawn[at] === 'a' ? 'b' : 'a';
    expect(new RandomNames(KEY).has(`${drawn.slice(0, at)}${other}${drawn.slice(at + 1)}`)).toBe(false);
  }
  for (const text of ['', drawn.slice(1), `${drawn}a`, drawn.toUpperCase()])
    expect(new RandomNames(KEY).has(text)).toBe(false);
});

test('a random name that is reserved is drawn again, and not for ever', () => {
  const names = (reservedNames: string[]) => new TunnelNames({domain: 'r1.test', key: KEY, reservedNames});
  const rights = rightsOf(['name:@random']);
  const some = names(['*q*']);
  for (let times = 0; times < 50; times += 1) expect(some.draw(rights).label).not.toContain('q');
  const all = names([...'abcdefghijklmnopqrstuvwxyz'].map((letter) => `*${letter}*`));
  expect(() => all.draw(rights)).toThrow(expect.objectContaining({code: 'BIND_REFUSED'}));
});
