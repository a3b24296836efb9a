// Makes the event of a relay that listens.

import type {Relay} from '../relay/options.js';
import type {ListeningEvent} from './relay-start-events.js';

export interface AboutRelay {
  /** The ID of a relay in the background. */
  id?: string | undefined;
  tokenFile?: string | undefined;
}

export function listeningEvent(
  {url, domain, address, httpAddress, metricsAddress, caFile, tokenRequired}: Relay,
  {id, tokenFile}: AboutRelay = {},
): ListeningEvent {
  return {
    type: 'listening',
    url,
    domain,
    address,
    ...(httpAddress && {http: httpAddress}),
    ...(metricsAddress && {metrics: metricsAddress}),
    ...(caFile !== undefined && {caFile}),
    ...(tokenRequired && {tokenRequired}),
    ...(tokenFile !== undefined && {tokenFile}),
    ...(id !== undefined && {id}),
  };
}
