// What becomes of the connection of a member that gets no session.

import {once} from 'node:events';
import {expect, vi} from 'vitest';
import {createLogger} from '../../../src/lib/core/logger.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import type {Stream, StreamSink} from '../../../src/lib/mux/stream.js';
import {type IncomingOptions, IncomingPeers} from '../../../src/lib/network/incoming-peers.js';
import {ephemeralMemberKey, type MemberKey} from '../../../src/lib/network/member-key.js';
import {secureMember} from '../../../src/lib/network/member-tls.js';
import type {SharedByPeers} from '../../../src/lib/network/peer-session.js';
import {socketPair} from '../../helpers/init.js';
import {test} from '../../helpers/test.js';

const odd = {name: 'odd', address: 'fdaa::2'};
const HELLO = {to: 'fdaa::1', session: 'ab'.repeat(16), resumes: false, received: 0};

function incomingPeers(more: Partial<IncomingOptions>): {incoming: IncomingPeers; key: MemberKey} {
  const key = ephemeralMemberKey();
  const incoming = new IncomingPeers({
    shared: {pool: new BlockPool()} as SharedByPeers,
    key,
    log: createLogger('network', undefined),
    address: () => 'fdaa::1',
    memberOf: async () => odd,
    current: () => odd,
    accept: async () => {
      throw new Error('no connection is expected');
    },
    ...more,
  });
  return {incoming, key};
}

test('a member that leaves the roster between the check of its key and its first line gets no session', async ({
  scope,
}) => {
  const {incoming, key} = incomingPeers({current: () => undefined});
  const [near, far] = await socketPair(scope);
  const cutOff = once(near, 'close');
  const taken = incoming.take(near, 'direct');
  const {socket} = await secureMember(far, {key, isAcceptor: false, accepts: () => true});
  socket.on('error', () => {});
  const answer = once(socket, 'data').then(([piece]) => String(piece));
  socket.write(`${JSON.stringify(HELLO)}\n`);
  expect(await Promise.race([answer, cutOff.then(() => 'cut off')])).toBe('cut off');
  await taken;
  expect(incoming.outstanding).toEqual({connections: 0, bytes: 0, moved: 0});
});

test('a member that is refused, sends on and does not leave is cut off', async ({scope}) => {
  const {incoming, key} = incomingPeers({});
  const [near, far] = await socketPair(scope);
  const cutOff = once(near, 'close');
  void incoming.take(near, 'direct');
  const {socket} = await secureMember(far, {key, isAcceptor: false, accepts: () => true});
  socket.on('error', () => {});
  const hello = {...HELLO, resumes: true};
  const answer = once(socket, 'data');
  socket.write(`${JSON.stringify(hello)}\nmore`);
  expect(String((await answer)[0])).toContain('NOT_ALLOWED');
  socket.pause();
  await cutOff;
});

test('a connection that the relay could read is outstanding until both directions have ended', async ({
  scope,
}) => {
  const [service, dialled] = await socketPair(scope);
  const {incoming} = incomingPeers({accept: async () => dialled});
  const stream = {
    ...{bytesOut: 0, heldBytes: 0, sendRoom: 0, state: 'open', sink: undefined as unknown as StreamSink},
    ...{accept: () => {}, mayBegin: () => true, consumed: () => {}},
    write(piece: Buffer) {
      this.bytesOut += piece.length;
      return true;
    },
    end() {
      this.state = 'closed';
    },
  };
  incoming.takePlain(stream as unknown as Stream, odd, 80);
  const {moved} = incoming.outstanding;
  expect(incoming.outstanding.connections).toBe(1);
  service.end('last words');
  await vi.waitFor(() => expect(stream.state).toBe('closed'));
  expect(incoming.outstanding.moved).toBeGreaterThan(moved);
  expect(incoming.outstanding.connections).toBe(1);
  stream.sink.onEnd();
  await vi.waitFor(() => expect(incoming.outstanding.connections).toBe(0));
  expect(incoming.outstanding.moved).toBeGreaterThan(moved);
});
