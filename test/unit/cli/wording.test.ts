// The text for a tunnel that cannot be reached for now: in lines, and in whole sentences.

import {expect, test} from 'vitest';
import type {ReadyEvent, ReconnectingEvent, TunnelEvent} from '../../../src/lib/agent/events.js';
import {backgroundState} from '../../../src/lib/cli/background-state.js';
import type {BackgroundTunnelEvent} from '../../../src/lib/cli/running-events.js';
import {spoken} from '../../../src/lib/cli/spoken.js';
import {NOTHING_YET, nextState, type TunnelState} from '../../../src/lib/cli/tunnel-state.js';
import {sentences} from '../../../src/lib/cli/wording.js';

const READY: ReadyEvent = {
  type: 'ready',
  address: 'https://abc.r1.example.net',
  upstream: 'localhost:8000',
  relay: {url: 'https://r1.example.net', embedded: false},
  h2: false,
};
const AWAY: ReconnectingEvent = {
  type: 'reconnecting',
  state: 'away',
  code: 'RELAY_LOST',
  reason: 'The link broke.',
  attempt: 1,
  delayMs: 90,
  connections: 2,
  keptForMs: 600_000,
};
const PAGE = {
  code: 'RELAY_NOT_TUNL',
  reason: 'r1.example.net:443 answered 200 instead of an upgrade.',
} as const;
const LEAVING = {
  ...AWAY,
  state: 'leaving',
  code: 'RELAY_LEAVING',
  reason: 'The relay is shutting down.',
  delayMs: 1_200,
  connections: 0,
  keptForMs: 0,
} as const;
const REFUSED = {
  ...AWAY,
  state: 'refused',
  code: 'RELAY_BUSY',
  reason: 'The relay has no room.',
  delayMs: 2_000,
  connections: 0,
} as const;
const BACK = {type: 'resumed', awayMs: 3_100, resumed: 0, lost: 0} as const;

function tell(
  say: (event: TunnelEvent, before: TunnelState) => string[],
  events: readonly TunnelEvent[],
): string[] {
  let state = nextState(NOTHING_YET, READY, 0);
  return events.flatMap((event) => {
    const lines = say(event, state);
    state = nextState(state, event, 0);
    return lines;
  });
}
const lines = (...events: TunnelEvent[]) =>
  tell((event, before) => sentences(event, before).map(({text}) => text), events);
const inWords = (...events: TunnelEvent[]) => tell(spoken, events);

test('a link that is lost: the kept connections, and for how long', () => {
  expect(lines(AWAY, {...BACK, resumed: 2})).toEqual([
    'link lost, keeping 2 connections for 10 min',
    'link back after 3.1 s, 2 connections resumed, 0 lost',
  ]);
});

test('something else that answers is named at once', () => {
  expect(lines({...AWAY, ...PAGE, connections: 0})).toEqual([
    'link lost (r1.example.net:443 answered 200 instead of an upgrade), trying again',
  ]);
  expect(inWords({...AWAY, ...PAGE, connections: 0})).toEqual([
    'The link to the relay is lost. r1.example.net:443 answered 200 instead of an upgrade. The next attempt is in 90 milliseconds.',
  ]);
});

test('a goodbye of the relay is reported at once, and the lost link after it is not reported again', () => {
  const refused = {
    ...AWAY,
    code: 'RELAY_REFUSED',
    reason: 'The connection was refused.',
    attempt: 2,
  } as const;
  expect(lines(LEAVING, {...refused, delayMs: 1_500, connections: 0}, BACK)).toEqual([
    'the relay is shutting down, trying again; open connections may finish',
    'still no link (the connection was refused), next try in 1.5 s',
    'link back after 3.1 s',
  ]);
  expect(inWords(LEAVING)).toEqual([
    'The relay is shutting down. Open connections may finish. The next attempt is in 1.2 seconds.',
  ]);
});

test('a relay that does not give the address back: there is no message about a lost link', () => {
  expect(lines(REFUSED, {...REFUSED, attempt: 2}, BACK, AWAY)).toEqual([
    'the relay does not give the address back yet (the relay has no room), trying again',
    'still no address (the relay has no room), next try in 2 s',
    'address back after 3.1 s',
    'link lost, keeping 2 connections for 10 min',
  ]);
  expect(inWords(REFUSED, BACK)).toEqual([
    'The relay does not give the address back yet. The relay has no room. The next attempt is in 2 seconds.',
    'The address is back after 3.1 seconds.',
  ]);
});

const NO_DNS = {
  type: 'probe',
  state: 'failed',
  by: 'agent',
  leg: 'dns',
  code: 'PROBE_DNS',
  reason: 'the name does not resolve (abc.r1.example.net:443)',
  next: 'Add a DNS record.',
} as const;
const ARRIVED = {type: 'probe', state: 'passed', by: 'agent', durationMs: 9} as const;

test('a probe that failed names the leg and who has seen it; one that arrives is told only after that', () => {
  expect(lines(ARRIVED)).toEqual([]);
  expect(lines(NO_DNS, {...NO_DNS, by: 'relay', leg: 'tcp'}, ARRIVED, ARRIVED)).toEqual([
    'visitors may not reach https://abc.r1.example.net: DNS fails from this machine (the name does not resolve (abc.r1.example.net:443)). Add a DNS record.',
    'visitors may not reach https://abc.r1.example.net: TCP fails from the relay (the name does not resolve (abc.r1.example.net:443)). Add a DNS record.',
    'visitors reach https://abc.r1.example.net now',
  ]);
  expect(tell(spoken, [NO_DNS, ARRIVED])).toEqual([
    expect.stringMatching(/^Warning: Visitors may not reach https:.* Add a DNS record\.$/),
    'Visitors reach https://abc.r1.example.net now.',
  ]);
});

test('the link to a private tunnel is in no line about a probe', () => {
  const link = `${READY.address}/?tunl=secret`;
  const state = nextState(NOTHING_YET, {...READY, url: READY.address, address: link, link}, 0);
  expect(
    sentences(NO_DNS, state)
      .map(({text}) => text)
      .join(),
  ).not.toContain('secret');
});

test.each([
  [undefined, 'running for 60 s'],
  ['passed', 'live for 60 s'],
  ['failed', 'running, but not reached through its public name, for 60 s'],
  ['checking', 'running, its public name is being checked, for 60 s'],
] as const)('a tunnel in the background whose reach is %s', (reach, text) => {
  const event: BackgroundTunnelEvent = {
    type: 'tunnel',
    state: 'running',
    id: 'a',
    address: READY.address,
    command: 'expose 8000',
    pid: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    status: {link: 'up', visitors: {open: 0, total: 0}, ...(reach !== undefined && {reach})},
  };
  expect(backgroundState(event, Date.parse('2026-01-01T00:01:00.000Z'))).toContain(text);
});
