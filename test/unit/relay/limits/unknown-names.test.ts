// The limit of connections that ask for names without a tunnel: only they are refused, and all such names alike.

import {once} from 'node:events';
import {connect} from 'node:tls';
import {describe, expect} from 'vitest';
import {forward} from '../../../../src/lib/forward.js';
import {EventCounters} from '../../../../src/lib/relay/admin/event-counters.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {UnknownNames} from '../../../../src/lib/relay/limits/unknown-names.js';
import {startRunningRelay} from '../../../../src/lib/relay/start.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';
import {echoUpstream} from '../../../helpers/upstreams.js';

const peer = (address: string) => ({address, port: 1, source: address});

function make(unknownNamesPerSecondPerAddress?: number) {
  const clock = new ManualClock();
  const noted: string[] = [];
  const names = new UnknownNames({
    settings: {unknownNamesPerSecondPerAddress},
    isTrusted: (address) => address.startsWith('10.'),
    reports: {note: (...what) => void noted.push(what.join(' '))},
    clock,
  });
  const ask = (times: number, address = '198.51.100.1') =>
    Array.from({length: times}, () => names.mayAsk(peer(address))).filter(Boolean).length;
  return {names, clock, noted, ask};
}

test('ten seconds of them at once, then as many as the limit says, for each address', () => {
  const {names, clock, noted, ask} = make(2);
  expect(ask(25)).toBe(20);
  expect(noted).toEqual(Array(5).fill('unknown-names address 198.51.100.1'));
  expect(ask(25, '198.51.100.2')).toBe(20);
  clock.advance(1_000);
  expect(ask(5)).toBe(2);
  names.reload({unknownNamesPerSecondPerAddress: 100});
  expect(ask(5)).toBe(5);
});

test('the standard one is for strangers, and a given one for all but trusted sources', () => {
  expect(make().ask(1_000)).toBe(500);
  expect(make().ask(1_000, '127.0.0.1')).toBe(1_000);
  expect(make(1).ask(1_000, '127.0.0.1')).toBe(10);
  expect(make(1).ask(1_000, '10.0.0.1')).toBe(1_000);
});

describe.each([1, 2])('a relay of %i processes', (workers) => {
  async function setUp(scope: Scope) {
    const events: RelayEvent[] = [];
    const token = 'a-token-of-16-or-more';
    const stateDir = await scope.tempDir('relay');
    const relay = await startRunningRelay(
      {
        ...{domain: 'r1.localhost', listen: '127.0.0.1:0', token, stateDir, workers},
        unknownNamesPerSecondPerAddress: 1,
      },
      {listeners: [(event) => void events.push(event)]},
    );
    scope.onEnd(async () => await relay.close());
    const caFile = relay.caFile ?? '';
    const tunnel = await forward(await echoUpstream(scope), {
      ...{relay: relay.url, caFile, token, stateDir, subdomain: 'demo', probe: false},
    });
    scope.onEnd(async () => await tunnel.close());
    /** 'open', or the code of the error. */
    const ask = async (servername: string): Promise<string> => {
      const socket = connect({
        ...{host: '127.0.0.1', port: relay.address.port, servername, rejectUnauthorized: false},
      });
      scope.onEnd(() => void socket.destroy());
      return await once(socket, 'secureConnect').then(
        () => 'open',
        (error: NodeJS.ErrnoException) => String(error.code),
      );
    };
    return {ask, events};
  }

  test('names of tunnels stay open to an address that asks for too many others', async ({scope}) => {
    const {ask, events} = await setUp(scope);
    const names = ['nobody.r1.localhost', 'a.b.r1.localhost', 'example.net', ''];
    const alert = /^ERR_SSL_(TLSV1|SSL\/TLS)_(ALERT_)?UNRECOGNIZED_NAME$/;
    // More come back each second, so that a slow machine may have some left.
    for (let at = 0; at < 10; at += 1) expect(await ask(names[at % names.length] ?? '')).toMatch(alert);
    const later = new Set<string>();
    for (let at = 0; at < 40; at += 1) later.add(await ask(names[at % names.length] ?? ''));
    expect(later).toContain('ECONNRESET');
    expect(await ask('demo.r1.localhost')).toBe('open');
    expect(await ask('r1.localhost')).toBe('open');
    const told = events.filter(({type}) => type === 'limit-reached');
    expect(told).toEqual([{type: 'limit-reached', limit: 'unknown-names', by: 'address', of: '127.0.0.1'}]);
    const counters = new EventCounters();
    for (const event of told) counters.listen(event);
    expect(counters.refusals).toEqual([['limit_unknown_names_of_address', 1]]);
  });
});
