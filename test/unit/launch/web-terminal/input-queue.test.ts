// Input is written in order, as far as it is accepted, without busy loops or endless waits.
import {expect, test} from 'vitest';
import {InputQueue} from '../../../../src/lib/launch/web-terminal/input-queue.js';
import {until} from '../../../helpers/launching.js';

function make() {
  const taker = {room: 0, text: '', tries: 0, ended: false};
  const queue = new InputQueue((bytes) => {
    taker.tries += 1;
    if (taker.ended) throw Object.assign(new Error('write'), {code: 'EIO'});
    if (taker.room === 0) throw Object.assign(new Error('write'), {code: 'EAGAIN'});
    const taken = Math.min(bytes.length, taker.room);
    taker.text += Buffer.from(bytes.subarray(0, taken)).toString();
    taker.room -= taken;
    return taken;
  });
  return {taker, queue};
}

test('in order, in parts', async () => {
  const {taker, queue} = make();
  taker.room = 4;
  queue.push(Buffer.from('abc'));
  expect(taker.text).toBe('abc');
  queue.push(Buffer.from('def'));
  queue.push(Buffer.from('ghi'));
  expect(taker.text).toBe('abcd');
  taker.room = 3;
  await until(() => taker.text === 'abcdefg');
  taker.room = 100;
  await until(() => taker.text === 'abcdefghi');
  queue.push(new Uint8Array());
  expect(taker.text).toBe('abcdefghi');
});

test('full, until there is room again', async () => {
  const {taker, queue} = make();
  queue.push(Buffer.alloc(65_535));
  expect(queue.full).toBeUndefined();
  queue.push(Buffer.from('x'));
  const {full} = queue;
  expect(full).toBeInstanceOf(Promise);
  // There is no attempt at each push, and a pause between attempts.
  expect(taker.tries).toBe(1);
  taker.room = 1;
  await full;
  expect(queue.full).toBeUndefined();
  queue.close();
});

test('the end makes room, and accepts no more', async () => {
  const {taker, queue} = make();
  queue.push(Buffer.alloc(100_000));
  const {full} = queue;
  taker.ended = true;
  await full;
  taker.ended = false;
  taker.room = 10;
  queue.push(Buffer.from('late'));
  expect(taker.text).toBe('');
  expect(queue.full).toBeUndefined();
});
