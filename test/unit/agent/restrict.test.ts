// New rules about addresses hold for each open visitor, also for those whose relay cannot apply them any more.

import {expect} from 'vitest';
import {KIND} from '../../../src/lib/protocol/wire.js';
import {Opened} from '../../helpers/opened.js';
import {ScriptedRelay} from '../../helpers/scripted-relay.js';
import {scriptedTunnel} from '../../helpers/scripted-tunnel.js';
import {test} from '../../helpers/test.js';
import {echoUpstream} from '../../helpers/upstreams.js';

test.for(['drains', 'has a new session, because the relay of the first one leaves'] as const)(
  'a tunnel that %s',
  async (state, {scope}) => {
    const relay = new ScriptedRelay();
    relay.features = ['cidr'];
    const tunnel = await scriptedTunnel(scope, relay, await echoUpstream(scope));
    const first = relay.session;
    const come = (address: string) => {
      const opened = new Opened();
      const stream = first?.open(KIND.visitor, {tunnel: 1, via: 'tls', address, port: 50_000});
      if (stream === undefined) throw new Error('no session');
      opened.onOpen(stream);
      return opened;
    };
    const visitor = async (address: string) => {
      const opened = come(address);
      await opened.echo('in');
      return opened;
    };
    const [good, bad] = [await visitor('203.0.113.8'), await visitor('::ffff:203.0.113.7')];
    if (state === 'drains') void tunnel.close({drainTimeoutMs: 3_600_000});
    else {
      const again = new Promise<void>((resolve) => {
        relay.onBound = () => resolve();
      });
      relay.session?.link?.sendMessage({type: 'goaway', message: '', afterMs: 0, relays: []});
      await again;
    }
    tunnel.restrict({cidrDeny: ['203.0.113.7']});
    expect((await bad.refused).code).toBe('CANCELLED');
    await good.echo('still in');
    expect(tunnel.connections).toBe(1);
    // The relay of the first session may have let in others before it heard of the rules.
    const late = await come('::ffff:203.0.113.7').refused;
    expect(late.code).toBe(state === 'drains' ? 'TUNNEL_UNKNOWN' : 'CANCELLED');
    expect(tunnel.connections).toBe(1);
  },
);
