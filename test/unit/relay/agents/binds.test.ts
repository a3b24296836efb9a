// The release of an agent's tunnels when its session ends.

import {expect, test} from 'vitest';
import {createLogger} from '../../../../src/lib/core/logger.js';
import type {Session} from '../../../../src/lib/mux/session.js';
import {unlimitedPrincipal} from '../../../../src/lib/relay/access/principal.js';
import {type Binder, Binds} from '../../../../src/lib/relay/agents/binds.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {TcpPorts} from '../../../../src/lib/relay/tunnels/tcp-ports.js';
import {type Tunnel, TunnelTable} from '../../../../src/lib/relay/tunnels/tunnel-table.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

const NAMES = 100;

function setUp() {
  const clock = new ManualClock();
  const log = createLogger('test', undefined);
  const events = {emit: () => {}};
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
      names: {check: () => {}},
      warningOf: () => undefined,
      onBound: () => {},
      onRestricted: () => {},
      sessionsOf: () => 1,
    },
  });
  return {clock, tunnels, binds};
}

/** A session with as many names as it may have. */
async function member({tunnels}: ReturnType<typeof setUp>, prefix: string) {
  const session = {ended: false, link: {}, sendControl: () => {}};
  const bound = await Promise.all(
    Array.from({length: NAMES}, (_, at) =>
      tunnels.bind({
        wish: {kind: 'tls', h2: false, name: `${prefix}${at}`},
        principal: unlimitedPrincipal('token:1'),
        claimant: {},
        addresses: undefined,
        session: session as unknown as Session,
        sessionName: prefix,
        onLost: () => {},
        warn: () => {},
      }),
    ),
  );
  const binder = {session, tunnels: new Map(bound.map((tunnel): [number, Tunnel] => [tunnel.id, tunnel]))};
  const end = () => {
    Object.assign(session, {ended: true, link: undefined});
    return binder as unknown as Binder;
  };
  return {end};
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
  rig.binds.releaseAll(first?.end() as Binder);
  rig.clock.advance(10);
  expect(rig.tunnels.size).toBe(NAMES);
  rig.binds.releaseAll(second?.end() as Binder);
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
