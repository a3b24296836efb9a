// A public tunnel in front of a port of a member: `tunl expose --net`.

import type {ForwardOptions} from '../agent/options.js';
import type {LocalTunnel} from '../agent/tunnel.js';
import {PortUpstream} from '../agent/upstreams/port.js';
import {forwardLater} from '../forward.js';
import type {Membership} from './membership.js';
import {type MemberPort, memberPortText} from './target.js';

/** Visitors are connected to the member, whether it runs now or later. @throws TunlError as `forward` */
export async function exposeMember(
  membership: Membership,
  to: MemberPort,
  options: ForwardOptions,
): Promise<LocalTunnel> {
  const label = memberPortText(to);
  const tunnel = await forwardLater(`net ${membership.network} ${label}`, options);
  const dial = (port: number, signal: AbortSignal) => membership.connect({to: to.name, port, signal});
  tunnel.pointTo(new PortUpstream(label, to.port, dial), {});
  void membership.ended.then((error) => {
    if (error !== undefined) tunnel.destroy(error);
  });
  return tunnel;
}
