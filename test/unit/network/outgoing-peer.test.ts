// Connections from this member to another one whose first path is on its way.

import {expect} from 'vitest';
import {systemClock} from '../../../src/lib/core/clock.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import {OutgoingPeer} from '../../../src/lib/network/outgoing-peer.js';
import type {Paths, Way} from '../../../src/lib/network/paths.js';
import type {SharedByPeers} from '../../../src/lib/network/peer-session.js';
import type {Peer} from '../../../src/lib/network/roster.js';
import {test} from '../../helpers/test.js';
import {unhandledRejections} from '../../helpers/unhandled.js';

test.for(['before', 'during'] as const)(
  'a caller that leaves %s the dial, and the dial fails later: nothing is left unhandled',
  async (when, {scope}) => {
    const unhandled = unhandledRejections(scope);
    const way = Promise.withResolvers<Way>();
    const outgoing = new OutgoingPeer({
      shared: {clock: systemClock, pool: new BlockPool()} as SharedByPeers,
      paths: {dial: () => way.promise} as unknown as Paths,
      peer: () => ({}) as Peer,
      onChange: () => {},
    });
    const gone = new AbortController();
    if (when === 'before') gone.abort();
    const opening = outgoing.open({port: 80}, gone.signal, async () => {});
    gone.abort();
    await expect(opening).rejects.toMatchObject({code: 'ABORTED'});
    way.reject(new TunlError('MEMBER_UNREACHABLE'));
    expect(await unhandled()).toEqual([]);
  },
);
