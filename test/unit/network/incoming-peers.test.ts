// What becomes of the connection of a member that gets no session.

import {once} from 'node:events';
import {expect} from 'vitest';
import {createLogger} from '../../../src/lib/core/logger.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import {IncomingPeers} from '../../../src/lib/network/incoming-peers.js';
import {ephemeralMemberKey} from '../../../src/lib/network/member-key.js';
import {secureMember} from '../../../src/lib/network/member-tls.js';
import type {SharedByPeers} from '../../../src/lib/network/peer-session.js';
import {socketPair} from '../../helpers/init.js';
import {test} from '../../helpers/test.js';

test('a member that is refused, sends on and does not leave is cut off', async ({scope}) => {
  const key = ephemeralMemberKey();
  const incoming = new IncomingPeers({
    shared: {pool: new BlockPool()} as SharedByPeers,
    key,
    log: createLogger('network', undefined),
    address: () => 'fdaa::1',
    memberOf: async () => ({name: 'odd', address: 'fdaa::2'}),
    accept: async () => {
      throw new Error('no connection is expected');
    },
  });
  const [near, far] = await socketPair(scope);
  const cutOff = once(near, 'close');
  void incoming.take(near, 'direct');
  const {socket} = await secureMember(far, {key, isAcceptor: false, accepts: () => true});
  socket.on('error', () => {});
  const hello = {to: 'fdaa::1', session: 'ab'.repeat(16), resumes: true, received: 0};
  const answer = once(socket, 'data');
  socket.write(`${JSON.stringify(hello)}\nmore`);
  expect(String((await answer)[0])).toContain('NOT_ALLOWED');
  socket.pause();
  await cutOff;
});
