// The tunnels of an agent when its session ends, and when rights have changed.

import {expect, test} from 'vitest';
import {createLogger} from '../../../../src/lib/core/logger.js';
import type {Session} from '../../../../src/lib/mux/session.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {rightsOf} from '../../../../src/lib/relay/access/rights.js';
import {type Binder, Binds, type BindsOptions} from '../../../../src/lib/relay/agents/binds.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {TcpPorts} from '../../../../src/lib/relay/tunnels/tcp-ports.js';
import {type Tunnel, TunnelTable} from '../../../../src/lib/relay/tunnels/tunnel-table.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const NAMES = 100;

function setUp(names: BindsOptions['names'] = {check: () => {}, edition: 0}) {
  const clock = new ManualClock();
  const log = createLogger('test', undefined);
  const events = {emit: () => {}};
  const restricted: Tunnel[] = [];
  const leases = new MemoryLeases({graceMs: 60_000});
  const ports = new TcpPorts({range: undefined, host: '127.0.0.1', reusePort: false});
  const tunnels = new TunnelTable({
    clock,
    ...{domain: 'r1.localhost', publicPort: () => 443, tcpPublicHost: 'r1.localhost', h2Offered: true},
    ...{leases, ports, events, log},
  });
  const binds = new Binds({
    ...{tunnels, events, log, clock, maxTunnelsPerAgent: NAMES, maxLeasesPerOwner: 10 * NAMES},
    ...{
      names,
      warningOf: () => undefined,
      onBound: () => {},
      onRestricted: (tunnel) => void restricted.push(tunnel),
      sessionsOf: () => 1,
    },
  });
  return {clock, tunnels, binds, restricted};
}

/** A session with as many names as it may have. */
async function member({tunnels}: ReturnType<typeof setUp>, prefix: string) {
  const session = {ended: false, link: {}, sendControl: () => {}};
  const principal = {...unlimitedPrincipal('token:1')};
  const bound = await Promise.all(
    Array.from({length: NAMES}, (_, at) =>
      tunnels.bind({
        wish: {kind: 'tls', h2: false, name: `${prefix}${at}`},
        principal,
        claimant: {},
        addresses: undefined,
        session: session as unknown as Session,
        sessionName: prefix,
        onLost: () => {},
        warn: () => {},
      }),
    ),
  );
  const binder = {
    ...{session, opener: {principal, session: prefix}},
    tunnels: new Map(bound.map((tunnel): [number, Tunnel] => [tunnel.id, tunnel])),
  } as unknown as Binder;
  const end = () => {
    Object.assign(session, {ended: true, link: undefined});
    return binder;
  };
  return {end, binder, principal};
}

test('sessions that end together release a few tunnels each millisecond, and none of them has a visitor meanwhile', async () => {
  const rig = setUp();
  const members = await Promise.all(['a', 'b', 'c'].map((prefix) => member(rig, prefix)));
  expect(rig.tunnels.size).toBe(3 * NAMES);
  for (const {end} of members) rig.binds.releaseAll(end());
  expect(rig.tunnels.size).toBe(268);
  expect(rig.tunnels.named('c99')).toBe(undefined);
  const sizes: number[] = [];
  while (rig.tunnels.size > 0) {
    rig.clock.advance(1);
    sizes.push(rig.tunnels.size);
  }
  expect(sizes).toEqual([236, 204, 172, 140, 108, 76, 44, 12, 0]);
});

test('a session that ends later waits for no rest', async () => {
  const rig = setUp();
  const [first, second] = await Promise.all(['a', 'b'].map((prefix) => member(rig, prefix)));
  if (first === undefined || second === undefined) throw new Error('no members');
  rig.binds.releaseAll(first.end());
  rig.clock.advance(10);
  expect(rig.tunnels.size).toBe(NAMES);
  rig.binds.releaseAll(second.end());
  expect(rig.tunnels.size).toBe(NAMES - 32);
});

test('a name that its owner binds again before the release stays bound', async () => {
  const rig = setUp();
  const {end} = await member(rig, 'a');
  rig.binds.releaseAll(end());
  await member(rig, 'a');
  rig.binds.releaseRest();
  expect(rig.tunnels.size).toBe(NAMES);
  expect(rig.tunnels.named('a7')).toBeDefined();
});

test('a login of somebody else checks nothing again; other rights, or other reserved names, check every tunnel', async () => {
  let checks = 0;
  const names = {
    edition: 1,
    check: () => {
      checks += 1;
    },
  };
  const rig = setUp(names);
  const {binder, principal} = await member(rig, 'a');
  const recheck = () => {
    checks = 0;
    for (let logins = 0; logins < 10; logins += 1) rig.binds.recheck(binder);
    return checks;
  };
  expect([recheck(), recheck()]).toEqual([NAMES, 0]);
  Object.assign(principal, {rights: rightsOf(['name:*'])});
  expect([recheck(), recheck()]).toEqual([NAMES, 0]);
  names.edition += 1;
  expect([recheck(), recheck()]).toEqual([NAMES, 0]);
});

test('rules for addresses beyond the rate of binds wait, the newest ones of each tunnel alone, and none are lost', async () => {
  const rig = setUp();
  const {binder} = await member(rig, 'a');
  const [one, two, three] = binder.tunnels.values() as Iterable<Tunnel> as [Tunnel, Tunnel, Tunnel];
  const restrict = ({id}: Tunnel, address: string) =>
    rig.binds.onMessage(binder, {type: 'restrict', tunnel: id, cidr: {deny: [address]}});
  for (let at = 0; at < 10_000; at += 1) restrict(one, '192.0.2.1');
  const burst = rig.restricted.length;
  expect(burst).toBeLessThanOrEqual(2 * NAMES);
  restrict(two, '192.0.2.2');
  restrict(two, '192.0.2.3');
  restrict(three, '192.0.2.4');
  restrict(one, '192.0.2.5');
  rig.binds.onMessage(binder, {type: 'unbind', tunnel: three.id});
  expect(rig.restricted).toHaveLength(burst);
  rig.clock.advance(1_000);
  expect(rig.restricted.slice(burst)).toEqual([one, two]);
  const admits = (tunnel: Tunnel, last: number) => tunnel.addresses?.admits(`192.0.2.${last}`);
  expect([admits(one, 1), admits(one, 5), admits(two, 2), admits(two, 3)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  for (let at = 0; at < 10_000; at += 1) {
    restrict(one, '192.0.2.1');
    if (at % 10 === 0) rig.clock.advance(1);
  }
  rig.clock.advance(1_000);
  // 20 come back each second.
  expect(rig.restricted.length - burst).toBeLessThan(100);
  expect(admits(one, 1)).toBe(false);
});

test('rules that wait go with their session', async () => {
  const rig = setUp();
  const {binder, end} = await member(rig, 'a');
  const [tunnel] = binder.tunnels.values() as Iterable<Tunnel> as [Tunnel];
  const message = {type: 'restrict', tunnel: tunnel.id, cidr: {}} as const;
  for (let at = 0; at < 1_000; at += 1) rig.binds.onMessage(binder, message);
  const before = rig.restricted.length;
  rig.binds.releaseAll(end());
  rig.clock.advance(60_000);
  expect([rig.restricted.length, rig.clock.pending]).toEqual([before, 0]);
});
