// The bandwidth of a relay holds for the bytes between members, by the clock of the limit itself.

import {once} from 'node:events';
import {connect} from 'node:net';
import {afterEach, expect, vi} from 'vitest';
import {Rate} from '../../src/lib/bytes/pace.js';
import {systemClock} from '../../src/lib/core/clock.js';
import {membersByRelayHere} from '../helpers/by-relay-here.js';
import {Digest, sha256Of, source} from '../helpers/bytes.js';
import {test} from '../helpers/test.js';

const SIZE = 4 * 2 ** 20;
const LIMIT = 2 * 2 ** 20;
/** What may pass beyond the limit at once: 50 ms after a rest, and a record of two members, which cannot be divided. */
const BURST_BYTES = 0.05 * LIMIT + 256 * 1024;

afterEach(() => void vi.restoreAllMocks());

test.for([
  ['of the relay', {bytesPerSecond: LIMIT}],
  ['of an owner', {bytesPerSecondPerOwner: LIMIT}],
] as const)('4 MiB from member to member stay within the limit %s', async ([, limits], {scope}) => {
  const spent: {at: number; bytes: number}[] = [];
  const {spend} = Rate.prototype;
  vi.spyOn(Rate.prototype, 'spend').mockImplementation(function (this: Rate, bytes) {
    spent.push({at: systemClock.now(), bytes});
    spend.call(this, bytes);
  });
  const {address} = await membersByRelayHere(scope, limits, (socket) => {
    socket.on('error', () => {});
    source(SIZE, 1).pipe(socket);
  });
  const digest = new Digest();
  const socket = connect(Number(address.split(':')[1]), '127.0.0.1');
  scope.onEnd(() => void socket.destroy());
  socket.pipe(digest);
  await once(digest, 'finish');
  expect([digest.bytes, digest.sha256()]).toEqual([SIZE, sha256Of(SIZE, 1)]);

  const total = spent.reduce((sum, {bytes}) => sum + bytes, 0);
  expect(total).toBeGreaterThanOrEqual(SIZE);
  // The records cost little, and no byte is counted twice.
  expect(total).toBeLessThan(1.1 * SIZE);
  let passed = 0;
  const since = spent[0]?.at ?? 0;
  for (const {at, bytes} of spent) {
    passed += bytes;
    expect(passed).toBeLessThanOrEqual(((at - since) / 1_000) * LIMIT + BURST_BYTES);
  }
});
