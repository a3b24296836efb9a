// Visitors of tunnels whose agents come back after a restart of the relay: which ones wait, how long, and how many.

import {EventEmitter} from 'node:events';
import type {Socket} from 'node:net';
import {expect, test} from 'vitest';
import type {LeaseKey} from '../../../../src/lib/relay/leases/lease-store.js';
import type {Tunnel} from '../../../../src/lib/relay/tunnels/tunnel-table.js';
import {WaitingRoom} from '../../../../src/lib/relay/visitors/waiting-room.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

function setUp(...expected: LeaseKey[]) {
  const clock = new ManualClock();
  const settled: LeaseKey[] = [];
  const room = new WaitingRoom({leases: {expected}, clock});
  room.onSettled = (keys) => void settled.push(...keys);
  room.start();
  const log: string[] = [];
  const visitor = (name: string, key: LeaseKey) => {
    const socket = Object.assign(new EventEmitter(), {
      resetAndDestroy: () => {
        log.push(`${name} is reset`);
        socket.emit('close');
      },
    });
    const waits = room.wait(key, socket as unknown as Socket, () => log.push(`${name} goes in`));
    return {waits, leave: () => socket.emit('close')};
  };
  const bind = (key: LeaseKey) => room.open({key} as Tunnel);
  return {clock, room, settled, log, visitor, bind};
}

test('a waiting visitor continues when the tunnel is bound, and later ones do not wait', () => {
  const {clock, log, visitor, bind} = setUp('tls:demo', 'tcp:20000');
  expect(visitor('ann', 'tls:demo').waits).toBe(true);
  expect(visitor('bob', 'tcp:20000').waits).toBe(true);
  bind('tls:demo');
  expect(visitor('eve', 'tls:demo').waits).toBe(false);
  clock.advance(9_999);
  expect(log).toEqual(['ann goes in']);
  clock.advance(1);
  expect(log).toEqual(['ann goes in', 'bob is reset']);
});

test('nobody waits for a tunnel that did not exist before', () => {
  expect(setUp('tls:demo').visitor('ann', 'tls:other').waits).toBe(false);
});

test('a visitor of a TLS name whose time is over gets the answer of the caller', () => {
  const {clock, room, log} = setUp('tls:demo');
  const socket = new EventEmitter() as Socket;
  const late = (raw: Socket) => void log.push(raw === socket ? 'ann hears why' : 'another');
  room.wait('tls:demo', socket, () => {}, late);
  clock.advance(10_000);
  expect(log).toEqual(['ann hears why']);
});

test('a visitor that leaves is neither passed on nor reset, and makes room', () => {
  const {clock, log, visitor, bind} = setUp('tls:demo');
  const all = Array.from({length: 256}, (_, i) => visitor(`${i}`, 'tls:demo'));
  expect(all.every(({waits}) => waits)).toBe(true);
  expect(visitor('one more', 'tls:demo').waits).toBe(false);
  for (const each of all) each.leave();
  expect(visitor('ann', 'tls:demo').waits).toBe(true);
  bind('tls:demo');
  clock.advance(10_000);
  expect(log).toEqual(['ann goes in']);
});

test('the number of waiting visitors is bounded, however many tunnels are waited for', () => {
  const keys = Array.from({length: 20}, (_, i): LeaseKey => `tcp:${20_000 + i}`);
  const {visitor} = setUp(...keys);
  const waiting = keys.flatMap((key) => Array.from({length: 256}, (_, i) => visitor(`${i}`, key).waits));
  expect(waiting.filter(Boolean)).toHaveLength(4_096);
});

test('nobody waits for tunnels that are back, nor after a minute for the others', () => {
  const {clock, settled, visitor, bind} = setUp('tls:demo', 'tls:other');
  bind('tls:demo');
  expect(settled).toEqual(['tls:demo']);
  clock.advance(59_999);
  expect(settled).toEqual(['tls:demo']);
  clock.advance(1);
  expect(settled).toEqual(['tls:demo', 'tls:other']);
  expect(visitor('ann', 'tls:other').waits).toBe(false);
});
