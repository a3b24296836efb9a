import {EventEmitter} from 'node:events';
import type {Socket} from 'node:net';
import {expect, test} from 'vitest';
import {LoopGuard} from '../../../src/lib/agent/loop-guard.js';

const dialled = (localPort: number) =>
  Object.assign(new EventEmitter(), {localAddress: '127.0.0.1', localPort}) as unknown as Socket;

test('a visitor from the socket that was dialled is a loop, in whichever order the two are heard of', () => {
  const guard = new LoopGuard();
  guard.publicPort = 7000;
  const socket = dialled(40_000);
  expect(guard.dialled(7000, socket)).toBe(false);
  expect(guard.visited(7000, '127.0.0.1:40000')).toBe(true);
  expect(guard.visited(7000, '127.0.0.1:40001')).toBe(false);
  expect(guard.dialled(7000, dialled(40_001))).toBe(true);
  // The port of a connection that has ended may be anybody's.
  socket.emit('close');
  expect(guard.visited(7000, '127.0.0.1:40000')).toBe(false);
  guard.left('127.0.0.1:40000');
  expect(guard.dialled(7000, dialled(40_000))).toBe(false);
});

test('another upstream is no loop, whoever comes', () => {
  const guard = new LoopGuard();
  expect(guard.dialled(8000, dialled(40_000))).toBe(false);
  guard.publicPort = 7000;
  expect(guard.dialled(8000, dialled(40_000))).toBe(false);
  expect(guard.visited(8000, '127.0.0.1:40000')).toBe(false);
  expect(guard.visited(undefined, '127.0.0.1:40000')).toBe(false);
});
