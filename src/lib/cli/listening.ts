// Makes the event of a relay that listens.

import type {Relay} from '../relay/options.js';
import type {ListeningEvent} from './events.js';

/** @param id of a relay in the background */
export function listeningEvent(
  {url, domain, address, httpAddress, caFile}: Relay,
  id?: string,
): ListeningEvent {
  return {
    type: 'listening',
    url,
    domain,
    address,
    ...(httpAddress && {http: httpAddress}),
    ...(caFile !== undefined && {caFile}),
    ...(id !== undefined && {id}),
  };
}
