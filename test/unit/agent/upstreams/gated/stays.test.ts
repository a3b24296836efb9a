import {expect, test} from 'vitest';
import {Stays} from '../../../../../src/lib/agent/upstreams/gated/stays.js';

function someStay() {
  const listeners = new Set<() => void>();
  const stay = {
    isOver: false,
    onOver(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  return {stay, listeners};
}

test('a right is held once, and given back at the end', () => {
  const {stay, listeners} = someStay();
  const stays = new Stays(() => {});
  stays.hold([stay]);
  stays.hold([stay]);
  expect(listeners.size).toBe(1);
  stays.release();
  expect(listeners.size).toBe(0);
});

test('a visitor who left while a password was checked holds no right', () => {
  const {stay, listeners} = someStay();
  const stays = new Stays(() => {});
  stays.release();
  stays.hold([stay]);
  expect(listeners.size).toBe(0);
});
