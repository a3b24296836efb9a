// `tunl expose --net`: a signal ends the way into the network, and not the membership of tunnels that are open.

import {expect, test, vi} from 'vitest';
import {memberOpenings} from '../../../src/lib/cli/network/openings.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import type {NetworkOptions} from '../../../src/lib/network/network.js';

const {network} = vi.hoisted(() => ({
  network: {isThere: false, signal: undefined as AbortSignal | undefined},
}));

vi.mock('../../../src/lib/network/network.js', () => ({
  openNetwork: async (_: string, {signal}: NetworkOptions) => {
    network.signal = signal;
    const gone = new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(new TunlError('ABORTED')));
    });
    if (!network.isThere) await gone;
    gone.catch(() => {});
    return {expose: async () => ({closed: new Promise(() => {})}), close: async () => {}};
  },
}));

function open(signal: AbortSignal) {
  const flags = {net: 'lab', tcp: false, subdomain: undefined, hasCommand: false, tell: () => {}};
  const [opening] = memberOpenings(['trainer:8000'], flags as never);
  return opening?.open({signal});
}

test('a signal while the network is joined ends the opening', async () => {
  network.isThere = false;
  const aborter = new AbortController();
  const opened = open(aborter.signal);
  await vi.waitFor(() => expect(network.signal).toBeDefined());
  aborter.abort();
  await expect(opened).rejects.toMatchObject({code: 'ABORTED'});
});

test('a signal later leaves the membership to its tunnels', async () => {
  network.isThere = true;
  const aborter = new AbortController();
  await open(aborter.signal);
  aborter.abort();
  expect(network.signal?.aborted).toBe(false);
});
