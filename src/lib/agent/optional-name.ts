// The name of a TCP tunnel is an extra: a token that allows only ports is enough.

import {TunlError} from '../core/errors.js';
import type {Bound} from './bindings.js';
import type {TunnelSettings} from './tunnel-settings.js';

/**
 * Waits for both sides. A name that the token does not allow is left out, unless the user has asked for it, or only it carries
 * the tunnel. When both sides are refused, the reason is the one of the side that the user has asked for.
 *
 * @throws TunlError
 */
export async function whatIsAllowed(
  tls: Promise<Bound>,
  tcp: Promise<Bound | undefined>,
  {subdomain, gates}: Pick<TunnelSettings, 'subdomain' | 'gates'>,
): Promise<[tls: Bound | undefined, tcp: Bound | undefined]> {
  const needsName = subdomain !== undefined || gates !== undefined;
  if (needsName) return await Promise.all([tls, tcp]);
  const [name, port] = await Promise.allSettled([tls, tcp]);
  if (port.status === 'rejected') throw port.reason;
  if (name.status === 'fulfilled') return [name.value, port.value];
  const isExtra =
    port.value !== undefined && name.reason instanceof TunlError && name.reason.code === 'NOT_ALLOWED';
  if (!isExtra) throw name.reason;
  return [undefined, port.value];
}
