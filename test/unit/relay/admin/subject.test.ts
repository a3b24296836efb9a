// The words of an operator: what is meant, and what is refused because it may mean several things.

import {expect, test} from 'vitest';
import type {SessionReport} from '../../../../src/lib/relay/admin/report.js';
import {findKicked, readSubject} from '../../../../src/lib/relay/admin/subject.js';

const domain = 'r1.example.net';

test.each([
  ['demo', 'name', 'tls:demo'],
  ['Demo.R1.example.net.', 'name', 'tls:demo'],
  ['name:demo', 'name', 'tls:demo'],
  ['tls:demo', 'name', 'tls:demo'],
  ['www', 'name', 'tls:www'],
  ['tcp:20001', 'name', 'tcp:20001'],
  [':20001', 'name', 'tcp:20001'],
  ['203.0.113.7', 'address', '203.0.113.7'],
  ['203.0.113.0/24', 'address', '203.0.113.0/24'],
  ['2001:DB8::/32', 'address', '2001:db8::/32'],
  ['address:::1', 'address', '::1'],
  ['owner:ana', 'owner', 'ana'],
  ['owner:Ana@Example.com', 'owner', 'ana@example.com'],
  ['owner:token:5f', 'owner', 'token:5f'],
])('%s is the %s %s', (word, what, subject) => {
  expect(readSubject(word, domain)).toEqual({what, subject});
});

test.each([
  '',
  'no name',
  'a.b.c',
  'demo.other.example.net',
  '203.0.113.0/99',
  'owner:',
  'address:demo',
  'tcp:0',
  'tcp:65536',
  'x'.repeat(300),
])('%j is refused', (word) => {
  expect(() => readSubject(word, domain)).toThrow();
});

const session = (
  id: string,
  owner: string,
  ...keys: SessionReport['tunnels'][number]['key'][]
): SessionReport => ({
  session: id,
  owner,
  from: '203.0.113.7',
  software: 'tunl',
  forMs: 1,
  tunnels: keys.map((key) => ({
    key,
    address: '',
    forMs: 1,
    visitors: 0,
    visitorsTotal: 0,
    bytesIn: 0,
    bytesOut: 0,
  })),
});
const all = [
  session('3f2a1b9c', 'ana', 'tls:demo'),
  session('3f2a7777', 'ana', 'tcp:20001'),
  session('beefbeef', 'demo', 'tls:beefbeef'),
];

test.each([
  ['3f2a1', {what: 'session', subject: '3f2a1b9c', sessions: ['3f2a1b9c']}],
  ['ana', {what: 'owner', subject: 'ana', sessions: ['3f2a1b9c', '3f2a7777']}],
  ['owner:Ana', {what: 'owner', subject: 'ana', sessions: ['3f2a1b9c', '3f2a7777']}],
  ['tcp:20001', {what: 'name', subject: 'tcp:20001'}],
  ['owner:Demo', {what: 'owner', subject: 'demo', sessions: ['beefbeef']}],
  ['name:demo', {what: 'name', subject: 'tls:demo'}],
  ['session:beefbeef', {what: 'session', subject: 'beefbeef', sessions: ['beefbeef']}],
] as const)('%s means %j', (word, meant) => {
  expect(findKicked(word, all, domain)).toEqual(meant);
});

test.each([
  ['demo', 'OPTION_INVALID'],
  ['beefbeef', 'OPTION_INVALID'],
  ['3f2a', 'OPTION_INVALID'],
  ['3f2', 'NOT_CONNECTED'],
  ['bob', 'NOT_CONNECTED'],
  ['__proto__', 'NOT_CONNECTED'],
  ['', 'NOT_CONNECTED'],
])('%j ends nothing: %s', (word, code) => {
  expect(() => findKicked(word, all, domain)).toThrow(expect.objectContaining({code}));
});
