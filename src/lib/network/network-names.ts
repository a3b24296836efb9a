// Names of networks and members as users write them, and that of the relay.

import {TunlError} from '../core/errors.js';
import type {RelayLink} from '../open-link.js';
import {isMemberName, isNetworkName} from '../protocol/network-messages.js';

export {isNetworkName};

/** @throws TunlError NETWORK_INVALID */
export function checkNames(network: string, name?: string): void {
  const invalid = (text: string, what: string) =>
    new TunlError('NETWORK_INVALID', {reason: `${JSON.stringify(text)} cannot be the name of a ${what}.`});
  if (!isNetworkName(network)) throw invalid(network, 'network');
  if (name !== undefined && !isMemberName(name)) throw invalid(name, 'member');
}

/** The relay's name, as it is dialled. */
export const relayNameOf = (link: Pick<RelayLink, 'relay'>): string => new URL(link.relay.url).hostname;
