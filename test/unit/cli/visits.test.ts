// One line for each visitor at the end of its visit; a longer visit has one more line before.

import {expect, test} from 'vitest';
import type {ConnectionEvent} from '../../../src/lib/agent/events.js';
import {VisitLines, visitLine} from '../../../src/lib/cli/renderers/visits.js';
import {systemClock} from '../../../src/lib/core/clock.js';
import {visit} from './visit.js';

const OPEN = visit('open');
const CLOSED: ConnectionEvent = {...OPEN, state: 'closed', bytesIn: 312, bytesOut: 5120, durationMs: 41};

test('a short visit is one line', () => {
  const visits = new VisitLines();
  expect(visits.event(OPEN, 80)).toBeUndefined();
  expect(visits.event(CLOSED, 80)?.text).toBe('tls  203.0.113.7:50123        41 ms  in 312 B   out 5.1 kB');
  expect(visits.staying(80, Number.POSITIVE_INFINITY)).toEqual([]);
});

test('a long visit has one line, and another at the end', () => {
  const visits = new VisitLines();
  visits.event(OPEN, 80);
  expect(visits.staying(80)).toEqual([]);
  const later = systemClock.now() + 2_500;
  expect(visits.staying(80, later)).toEqual([{tone: 'faint', text: 'tls  203.0.113.7:50123      open'}]);
  expect(visits.staying(80, later + 10_000)).toEqual([]);
  expect(visits.event(CLOSED, 80)).toBeDefined();
});

test('a visitor who was refused or cut off has the reason in the line', () => {
  const refused = visitLine({...OPEN, state: 'refused', code: 'UPSTREAM_REFUSED'}, 80);
  expect(refused).toEqual({tone: 'bad', text: 'tls  203.0.113.7:50123      refused  UPSTREAM_REFUSED'});
  const lost = {...CLOSED, code: 'SESSION_ENDED', reason: 'the link to the relay ended'} as const;
  expect(visitLine(lost, 80).text).toMatch(/out 5\.1 kB {2}the link to the relay ended$/);
});

test.each([
  [CLOSED, '203.0.113.7 41 ms 312 B/5.1 kB'],
  [OPEN, '203.0.113.7 open'],
  [{...CLOSED, visitor: '[2001:db8::1]:50124'}, '[2001:db8::1] 41 ms 312 B/5.1 kB'],
])('in a narrow window %#', (event, text) => {
  expect(visitLine(event, 40).text).toBe(text);
});
