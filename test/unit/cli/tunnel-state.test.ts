// The state of a command's tunnels after each event.

import {expect, test} from 'vitest';
import type {CliEvent} from '../../../src/lib/cli/events.js';
import {isClosing, NOTHING_YET, nextState, readiesOf} from '../../../src/lib/cli/tunnel-state.js';
import {visit} from './visit.js';

const ready = (tunnel?: string, more: {program?: string; id?: string} = {}): CliEvent => ({
  type: 'ready',
  address: `https://${tunnel ?? 'abc'}.r1.example.net`,
  upstream: 'localhost:8000',
  relay: {url: 'https://r1.example.net', embedded: false},
  h2: false,
  ...(tunnel !== undefined && {tunnel}),
  ...more,
});
const lost = (state: 'away' | 'leaving' | 'refused', reason: string, connections: number): CliEvent => ({
  type: 'reconnecting',
  state,
  code: 'RELAY_LOST',
  reason,
  attempt: 1,
  delayMs: 1,
  connections,
  keptForMs: 1,
});
const BACK: CliEvent = {type: 'resumed', awayMs: 1, resumed: 0, lost: 0};

/** The events come 1 ms after each other, the first at 1. */
const after = (...events: CliEvent[]) =>
  events.reduce((state, event, at) => nextState(state, event, at + 1), NOTHING_YET);

test('before the first event nothing is up, and nothing is closing', () => {
  expect(after()).toBe(NOTHING_YET);
  expect(isClosing(after())).toBe(false);
  expect(after().wasUp).toBe(false);
});

test('tunnels by name, in the order in which they became ready, including one without a name', () => {
  const state = after(ready('b'), ready(), ready('a'));
  expect([...state.tunnels.keys()]).toEqual(['b', '', 'a']);
  expect(readiesOf(state).map(({tunnel}) => tunnel)).toEqual(['b', undefined, 'a']);
  const fewer = nextState(state, {type: 'closed', connections: 0, tunnel: 'b'}, 9);
  expect([...fewer.tunnels.keys()]).toEqual(['', 'a']);
  // A value never changes.
  expect(state.tunnels.size).toBe(3);
  expect(fewer.wasUp).toBe(true);
});

test.each<CliEvent>([
  {type: 'closed', connections: 0},
  {type: 'exited', program: 'command', code: 0, exitCode: 0},
  {type: 'error', code: 'TAKEN_OVER', message: '', next: '', exitCode: 5},
])('a tunnel ends with $type', (end) => {
  expect(after(ready(), end).tunnels.size).toBe(0);
  // The end of another tunnel.
  expect(after(ready('a'), end).tunnels.size).toBe(1);
});

test('the time of a loss and the kept connections are those of its beginning; state and reason those of the last attempt', () => {
  const away = after(ready(), lost('away', 'cut', 3), lost('refused', 'no room', 0));
  expect(away.link).toEqual({state: 'refused', lostAt: 2, kept: 3, reason: 'no room'});
  expect(nextState(away, BACK, 9).link).toBe('up');
  // With --wait the first link may be lost before any tunnel was up.
  const waits = after(lost('away', 'nobody', 0));
  expect(waits.wasUp).toBe(false);
  expect(nextState(waits, ready(), 9).link).toBe('up');
});

test('visitors are counted over all tunnels, without those that were refused', () => {
  const open = after(ready('a'), {...visit('open'), tunnel: 'a'}, visit('open'));
  expect(open.visitors).toEqual({open: 2, total: 2});
  const left = nextState(open, visit('closed'), 9);
  expect(left.visitors).toEqual({open: 1, total: 2});
  expect(nextState(left, visit('refused'), 10).visitors).toBe(left.visitors);
  // The same object, because the visitors are unchanged.
  expect(nextState(left, BACK, 10).visitors).toBe(left.visitors);
});

test('the state of each upstream is known; a program has answered before its tunnel is up', () => {
  const says = (answers: boolean, tunnel: string): CliEvent => ({
    type: 'upstream',
    upstream: 'x:1',
    answers,
    tunnel,
  });
  const state = after(ready('a'), ready('b'), ready('c', {program: 'jupyter'}), says(false, 'b'));
  expect([...state.tunnels.values()].map(({upstream}) => upstream)).toEqual(['unknown', 'silent', 'answers']);
  expect(nextState(state, says(true, 'b'), 9).tunnels.get('b')?.upstream).toBe('answers');
  expect(nextState(state, says(true, 'gone'), 9)).toBe(state);
});

test('all are closing when each of them is', () => {
  const draining = (tunnel: string): CliEvent => ({type: 'draining', connections: 1, timeoutMs: 1, tunnel});
  const one = after(ready('a'), ready('b'), draining('a'));
  expect(isClosing(one)).toBe(false);
  expect(isClosing(nextState(one, draining('b'), 9))).toBe(true);
  expect(isClosing(nextState(one, {type: 'closed', connections: 0, tunnel: 'b'}, 9))).toBe(true);
});

test('a tunnel or relay with an id runs in the background', () => {
  expect(after(ready(undefined, {id: 'k3f9a2'})).isDetached).toBe(true);
  expect(after(ready()).isDetached).toBe(false);
  const listening: CliEvent = {
    type: 'listening',
    url: 'https://r1.example.net',
    domain: 'r1.example.net',
    address: {host: '0.0.0.0', port: 443},
    id: 'k3f9a2',
  };
  expect(after(listening)).toMatchObject({isDetached: true, wasUp: true});
});
