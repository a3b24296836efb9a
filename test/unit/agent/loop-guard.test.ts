import {EventEmitter} from 'node:events';
import type {Socket} from 'node:net';
import {expect, test} from 'vitest';
import {LoopGuard} from '../../../src/lib/agent/loop-guard.js';

const dialled = (localPort: number) =>
  Object.assign(new EventEmitter(), {localAddress: '127.0.0.1', localPort}) as unknown as Socket;

test('a visitor from the socket that dials the upstream is a loop, whichever of the two is known first', () => {
  const guard = new LoopGuard();
  guard.publicPort = 7000;
  const socket = dialled(40_000);
  expect(guard.dialled(7000, socket)).toBe(false);
  expect(guard.visited(7000, '127.0.0.1:40000')).toBe(true);
  expect(guard.visited(7000, '127.0.0.1:40001')).toBe(false);
  expect(guard.dialled(7000, dialled(40_001))).toBe(true);
  // After a connection has ended, another one may have its port.
  socket.emit('close');
  expect(guard.visited(7000, '127.0.0.1:40000')).toBe(false);
  guard.left('127.0.0.1:40000');
  expect(guard.dialled(7000, dialled(40_000))).toBe(false);
});

test('with another upstream no visitor is a loop', () => {
  const guard = new LoopGuard();
  expect(guard.dialled(8000, dialled(40_000))).toBe(false);
  guard.publicPort = 7000;
  expect(guard.dialled(8000, dialled(40_000))).toBe(false);
  expect(guard.visited(8000, '127.0.0.1:40000')).toBe(false);
  expect(guard.visited(undefined, '127.0.0.1:40000')).toBe(false);
});
