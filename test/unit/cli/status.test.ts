// The text of the block, event by event: it shows only known facts.

import {describe, expect, test, vi} from 'vitest';
import type {ReadyEvent, TunnelEvent} from '../../../src/lib/agent/events.js';
import {type Attendance, statusRows} from '../../../src/lib/cli/renderers/status.js';
import {NOTHING_YET, nextState} from '../../../src/lib/cli/tunnel-state.js';
import {visit} from './visit.js';

const READY: ReadyEvent = {
  type: 'ready',
  address: 'https://abc.r1.example.net',
  upstream: 'localhost:8000',
  relay: {url: 'https://r1.example.net', embedded: false},
  h2: false,
};
const LOST = {
  type: 'reconnecting',
  state: 'away',
  code: 'RELAY_LOST',
  reason: '',
  attempt: 1,
  delayMs: 1,
  connections: 3,
  keptForMs: 1,
} as const;
const BACK = {type: 'resumed', awayMs: 1, resumed: 1, lost: 0} as const;

function setUp() {
  let known = NOTHING_YET;
  let attendance: Attendance = {rttMs: () => undefined, keys: () => []};
  const status = {
    rows: (width: number) => statusRows(known, attendance, {width, now: performance.now()}),
    attend: (other: Attendance) => (attendance = other),
  };
  const state = () => status.rows(80)[1]?.text;
  const after = (event: TunnelEvent & {tunnel?: string}) => {
    known = nextState(known, event, performance.now());
    return state();
  };
  return {status, state, after};
}

test('live is shown only when link and upstream are up', () => {
  const {status, state, after} = setUp();
  expect(status.rows(80)).toEqual([]);
  expect(after(READY)).toBe('  ◌ connecting to the upstream · 0 open · 0 so far');
  expect(after({type: 'upstream', upstream: 'localhost:8000', answers: false})).toBe(
    '  ✗ upstream does not answer · 0 open · 0 so far',
  );
  expect(after({type: 'upstream', upstream: 'localhost:8000', answers: true})).toBe(
    '  ● live · r1 · 0 open · 0 so far',
  );
  expect(after(visit('open'))).toBe('  ● live · r1 · 1 open · 1 so far');
  status.attend({rttMs: () => 23.6, keys: () => []});
  expect(state()).toBe('  ● live · r1 · 24 ms · 1 open · 1 so far');
  expect(after(visit('closed'))).toBe('  ● live · r1 · 24 ms · 0 open · 1 so far');
  expect(after({type: 'draining', connections: 1, timeoutMs: 1})).toBe('  ◌ closing · 0 open · 1 so far');
  expect(after({type: 'closed', connections: 1})).toBeUndefined();
});

test('a probed tunnel is live only while the last probe through its public name has arrived', () => {
  const {after} = setUp();
  after({...READY, probe: 'passed'});
  const up = {type: 'upstream', upstream: 'localhost:8000', answers: true} as const;
  const failed = {type: 'probe', state: 'failed', by: 'agent', leg: 'dns', code: 'PROBE_DNS'} as const;
  const passed = {type: 'probe', state: 'passed', by: 'relay', durationMs: 9} as const;
  expect(after(up)).toContain('● live');
  after(LOST);
  expect(after(BACK)).toContain('◌ checking the public name');
  expect(after(failed)).toContain('▲ not reached through the public name');
  expect(after(passed)).toContain('● live');
  after(LOST);
  after(BACK);
  // The relay is an older one now.
  expect(after({type: 'probe', state: 'off'})).toContain('● live');
  after({...READY, probe: 'failed'});
  expect(after(up)).toContain('▲ not reached');
});

test('a lost link: for how long, and what is kept', () => {
  const {state, after} = setUp();
  after(READY);
  const now = vi.spyOn(performance, 'now').mockReturnValue(1_000);
  try {
    expect(after(LOST)).toBe('  ↻ link lost, 3 streams kept · 0 open · 0 so far');
    now.mockReturnValue(5_900);
    expect(after({...LOST, attempt: 2, connections: 0})).toBe(
      '  ↻ link lost 4 s, 3 streams kept · 0 open · 0 so far',
    );
    // The upstream is gone as well: the link is shown first.
    after({type: 'upstream', upstream: 'localhost:8000', answers: false});
    expect(state()).toContain('link lost');
    expect(after(BACK)).toContain('✗ upstream does not answer');
    expect(after({...LOST, connections: 0})).toBe('  ↻ link lost · 0 open · 0 so far');
  } finally {
    now.mockRestore();
  }
});

test('a relay that leaves, and one that does not give the address back, differ from a lost link', () => {
  const {after} = setUp();
  after(READY);
  const gone = {...LOST, code: 'RELAY_LEAVING', connections: 0} as const;
  expect(after({...gone, state: 'leaving'})).toBe('  ↻ the relay is shutting down · 0 open · 0 so far');
  expect(after({...LOST, connections: 0})).toBe('  ↻ link lost · 0 open · 0 so far');
  after(BACK);
  expect(after({...gone, state: 'refused'})).toBe('  ↻ no address yet · 0 open · 0 so far');
});

test('a relay inside the process has no round trip, and is for this machine only', () => {
  const {after, status} = setUp();
  status.attend({rttMs: () => 1, keys: () => []});
  after({...READY, relay: {url: 'https://tunl.localhost:4433', embedded: true}});
  expect(after({type: 'upstream', upstream: 'localhost:8000', answers: true})).toBe(
    '  ● live · this machine only · 0 open · 0 so far',
  );
});

test.each([
  ['https://r1.example.net', 'r1'],
  ['https://203.0.113.7:4433', '203.0.113.7'],
  ['https://[2001:db8::1]', '[2001:db8::1]'],
  ['https://relay', 'relay'],
])('the relay %s is shown as %s', (url, name) => {
  const {after} = setUp();
  after({...READY, relay: {url, embedded: false}});
  expect(after({type: 'upstream', upstream: 'x:1', answers: true})).toContain(`live · ${name} ·`);
});

test('in a narrow window the state and the counts stay', () => {
  const {status, after} = setUp();
  status.attend({rttMs: () => 24, keys: () => []});
  after(READY);
  after({type: 'upstream', upstream: 'localhost:8000', answers: true});
  expect(status.rows(40)[1]?.text).toBe('● live · 0 open · 0 so far');
});

test('the keys are in the last row, closer together in a narrow window, and not during the end', () => {
  const {status, after} = setUp();
  status.attend({rttMs: () => undefined, keys: () => ['q QR', 'o open', 'c copy', '? keys']});
  after(READY);
  expect(status.rows(80)[2]?.text).toBe('  q QR   o open   c copy   ? keys   ^C stop');
  expect(status.rows(40)[2]?.text).toBe('  q QR  o open  c copy  ? keys  ^C stop');
  after({type: 'draining', connections: 1, timeoutMs: 1});
  expect(status.rows(80)).toHaveLength(2);
});

test('when both do not fit, the address is complete and wraps', () => {
  const {status, after} = setUp();
  after(READY);
  expect(status.rows(80)[0]).toMatchObject({text: '  https://abc.r1.example.net → localhost:8000'});
  expect(status.rows(40)[0]).toMatchObject({text: 'https://abc.r1.example.net', wraps: true});
});

test('for a tunnel in the background no rows stay', () => {
  const {status, after} = setUp();
  after({...READY, id: 'k3f9a2'});
  expect(status.rows(80)).toEqual([]);
});

describe('several tunnels', () => {
  const named = (tunnel: string): TunnelEvent & {tunnel: string} => ({
    ...READY,
    address: `https://${tunnel}.r1.example.net`,
    upstream: `localhost:${8000 + tunnel.length}`,
    tunnel,
  });
  const answers = (tunnel: string, yes: boolean) => ({
    type: 'upstream' as const,
    upstream: 'x:1',
    answers: yes,
    tunnel,
  });
  const texts = (rows: {text: string}[]) => rows.map(({text}) => text);

  test('a row for each, and one state for all', () => {
    const {status, after: seen} = setUp();
    for (const name of ['web', 'api-2']) seen(named(name));
    expect(texts(status.rows(80))).toEqual([
      '  web    https://web.r1.example.net → localhost:8003',
      '  api-2  https://api-2.r1.example.net → localhost:8005',
      '  ◌ connecting to the upstreams · 0 open · 0 so far',
    ]);
    seen(answers('web', true));
    seen(answers('api-2', false));
    expect(texts(status.rows(80)).at(-1)).toBe('  ✗ upstream does not answer: api-2 · 0 open · 0 so far');
    seen(answers('api-2', true));
    seen({...visit('open'), tunnel: 'web'});
    expect(texts(status.rows(80)).at(-1)).toBe('  ● live · r1 · 1 open · 1 so far');
    expect(texts(status.rows(45))).toContain('  web    https://web.r1.example.net');
  });

  test('rows that do not fit into the block are counted', () => {
    const {status, after: seen} = setUp();
    for (const name of ['a', 'b', 'c']) seen(named(name));
    expect(status.rows(80)).toHaveLength(4);
    seen(named('d'));
    expect(texts(status.rows(80)).slice(0, 3)).toEqual([
      '  a  https://a.r1.example.net → localhost:8001',
      '  b  https://b.r1.example.net → localhost:8001',
      '  … and 2 more',
    ]);
  });

  test('a tunnel that ends loses its row; `closing` is shown when all of them end', () => {
    const {status, after: seen, state} = setUp();
    for (const name of ['a', 'b']) {
      seen(named(name));
      seen(answers(name, true));
    }
    seen({type: 'draining', connections: 1, timeoutMs: 1, tunnel: 'a'});
    expect(texts(status.rows(80)).at(-1)).toContain('● live');
    seen({type: 'draining', connections: 1, timeoutMs: 1, tunnel: 'b'});
    expect(texts(status.rows(80)).at(-1)).toContain('◌ closing');
    seen({type: 'closed', connections: 1, tunnel: 'a'});
    expect(status.rows(80)).toHaveLength(2);
    expect(state()).toContain('◌ closing');
    seen({type: 'closed', connections: 1, tunnel: 'b'});
    expect(status.rows(80)).toEqual([]);
  });
});
