// After a socket has closed, the objects that its listeners refer to can be collected.

import {once} from 'node:events';
import {Socket} from 'node:net';
import {getHeapSpaceStatistics, setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {expect, test} from 'vitest';
import {outliveFailedWrites} from '../../../src/lib/bytes/failed-writes.js';
import {letGo} from '../../../src/lib/bytes/let-go.js';
import {MiB} from '../../helpers/bytes.js';

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as (options: {type: 'minor' | 'major'}) => void;

const oldBytes = () =>
  getHeapSpaceStatistics().find(({space_name}) => space_name === 'old_space')?.space_used_size ?? 0;

/** Opens and closes `count` sockets, one after the other; the listeners of each refer to 80 KB. */
async function comeAndGo(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const socket = new Socket();
    const kept = new Array(10_000).fill(i);
    const writes = outliveFailedWrites(socket, () => void kept.length);
    socket.on('data', () => void kept.length);
    socket.on('close', () => {
      letGo(socket);
      writes.forget();
    });
    socket.destroy();
    await once(socket, 'close');
    if (i % 10 === 0) gc({type: 'minor'});
  }
}

test('objects of the listeners of closed sockets do not reach the old generation', async () => {
  await comeAndGo(50);
  gc({type: 'major'});
  const before = oldBytes();
  // So few that Node starts no full collection.
  await comeAndGo(100);
  expect(oldBytes() - before).toBeLessThan(2 * MiB);
});

test('a released socket may be ended and destroyed again', async () => {
  const socket = new Socket();
  const writes = outliveFailedWrites(socket, () => {});
  socket.on('close', () => {
    letGo(socket);
    writes.forget();
  });
  socket.destroy();
  await once(socket, 'close');
  expect(socket.listenerCount('close')).toBe(0);
  expect(() => {
    socket.emit('error', new Error('late'));
    socket.end('words');
    socket.resetAndDestroy();
  }).not.toThrow();
});
