// `network` of the library. The code of private networks is loaded with the first of them.

import type {Network, NetworkOptions} from './network.js';

/**
 * Makes this process a member of a private network at a relay. The token needs the scope `net:NAME`.
 *
 * @param network the network's name.
 * @throws TunlError RELAY_NEEDED, NETWORK_INVALID, MEMBER_NAME_USED, NETWORK_FULL, NOT_ALLOWED, RELAY_LACKS_FEATURE, TARGET_INVALID,
 * OPTION_INVALID, STATE_DIR, LISTEN_*, ABORTED, or the reason why there is no link (RELAY_*, TOKEN_*, PROXY_FAILED).
 */
export async function network(network: string, options: NetworkOptions = {}): Promise<Network> {
  const {openNetwork} = await import('./network.js');
  return await openNetwork(network, options);
}
