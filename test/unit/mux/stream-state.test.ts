import {describe, expect, test} from 'vitest';
import {nextState, type StreamEvent, type StreamState} from '../../../src/lib/mux/stream-state.js';

const EVENTS = [
  'sendOpened',
  'sendRefused',
  'sendData',
  'sendFin',
  'sendReset',
  'receiveOpened',
  'receiveRefused',
  'receiveData',
  'receiveFin',
  'receiveReset',
] as const satisfies StreamEvent[];

const O = 'opening';
const OL = 'openingLocalEnded';
const F = 'offered';
const FR = 'offeredRemoteEnded';
const OP = 'open';
const L = 'localEnded';
const R = 'remoteEnded';
const C = 'closed';
const _ = undefined;

/** Every state and every event; `_` marks what is not allowed. */
// biome-ignore format: a table
const TABLE: Record<StreamState, readonly (StreamState | undefined)[]> = {
  //                  sendOpened sendRefused sendData sendFin sendReset | receiveOpened receiveRefused receiveData receiveFin receiveReset
  opening:            [_,        _,          O,       OL,     C,          OP,           C,             _,          _,         C],
  openingLocalEnded:  [_,        _,          _,       _,      C,          L,            C,             _,          _,         C],
  offered:            [OP,       C,          _,       _,      C,          _,            _,             F,          FR,        C],
  offeredRemoteEnded: [R,        C,          _,       _,      C,          _,            _,             _,          _,         C],
  open:               [_,        _,          OP,      L,      C,          _,            _,             OP,         R,         C],
  localEnded:         [_,        _,          _,       _,      C,          _,            _,             L,          C,         C],
  remoteEnded:        [_,        _,          R,       C,      C,          _,            _,             _,          _,         C],
  closed:             [_,        _,          _,       _,      _,          _,            _,             _,          _,         _],
};

const STATES = Object.keys(TABLE) as StreamState[];

test.each(STATES)('what may follow on %s', (state) => {
  expect(EVENTS.map((event) => nextState(state, event))).toEqual(TABLE[state]);
});

type Frame = 'Opened' | 'Refused' | 'Data' | 'Fin' | 'Reset';

/** Both ends of one stream and the frames under way in each direction, in order. */
interface Pair {
  opener: StreamState;
  taker: StreamState;
  toTaker: readonly Frame[];
  toOpener: readonly Frame[];
}

const MOST_UNDER_WAY = 4;

/** All possible results of one step: either end sends a frame that its state allows, or receives the next one. */
function steps(pair: Pair): {next: Pair; violation?: string}[] {
  const found: {next: Pair; violation?: string}[] = [];
  for (const frame of ['Opened', 'Refused', 'Data', 'Fin', 'Reset'] as const) {
    const opener = nextState(pair.opener, `send${frame}`);
    if (opener !== undefined && pair.toTaker.length < MOST_UNDER_WAY)
      found.push({next: {...pair, opener, toTaker: [...pair.toTaker, frame]}});
    const taker = nextState(pair.taker, `send${frame}`);
    if (taker !== undefined && pair.toOpener.length < MOST_UNDER_WAY)
      found.push({next: {...pair, taker, toOpener: [...pair.toOpener, frame]}});
  }
  for (const [end, queue] of [
    ['taker', 'toTaker'],
    ['opener', 'toOpener'],
  ] as const) {
    const [frame, ...rest] = pair[queue];
    if (frame === undefined) continue;
    const state = pair[end];
    // A closed stream is forgotten: later frames for it are discarded.
    const next = state === 'closed' ? 'closed' : nextState(state, `receive${frame}`);
    if (next === undefined) found.push({next: pair, violation: `${frame} arrives in ${state}`});
    else found.push({next: {...pair, [end]: next, [queue]: rest}});
  }
  return found;
}

describe('two ends that follow the table', () => {
  const start: Pair = {opener: 'opening', taker: 'offered', toTaker: [], toOpener: []};
  const key = (pair: Pair) => [pair.opener, pair.taker, pair.toTaker, pair.toOpener].join('|');
  const seen = new Map([[key(start), start]]);
  const violations: string[] = [];
  for (const pair of seen.values()) {
    for (const {next, violation} of steps(pair)) {
      if (violation !== undefined) violations.push(`${violation} (${key(pair)})`);
      else if (!seen.has(key(next))) seen.set(key(next), next);
    }
  }

  test('never see a violation, whatever crosses on the way', () => {
    expect(seen.size).toBeGreaterThan(500);
    expect(violations).toEqual([]);
  });

  test('end closed on both sides, or can still get there', () => {
    const good = new Set<string>();
    for (let grew = true; grew; ) {
      grew = false;
      for (const [name, pair] of seen) {
        if (good.has(name)) continue;
        const done =
          pair.opener === 'closed' &&
          pair.taker === 'closed' &&
          pair.toTaker.length + pair.toOpener.length === 0;
        if (done || steps(pair).some(({next}) => good.has(key(next)))) {
          good.add(name);
          grew = true;
        }
      }
    }
    expect([...seen.keys()].filter((name) => !good.has(name))).toEqual([]);
  });

  test('are never in a state where one end is closed, the other is not, and no frame under way would close it', () => {
    const stuck = [...seen.values()].filter(
      ({opener, taker, toTaker, toOpener}) =>
        (opener === 'closed') !== (taker === 'closed') &&
        (opener === 'closed' ? toTaker : toOpener).length === 0,
    );
    expect(stuck).toEqual([]);
  });
});
