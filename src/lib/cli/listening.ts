// Makes the event of a relay that listens.

import type {Relay} from '../relay/options.js';
import type {ListeningEvent} from './events.js';

export interface AboutRelay {
  /** The ID of a relay in the background. */
  id?: string | undefined;
  tokenFile?: string | undefined;
  env?: NodeJS.ProcessEnv;
}

export function listeningEvent(
  {url, domain, address, httpAddress, caFile}: Relay,
  {id, tokenFile, env = process.env}: AboutRelay = {},
): ListeningEvent {
  return {
    type: 'listening',
    url,
    domain,
    address,
    ...(httpAddress && {http: httpAddress}),
    ...(caFile !== undefined && {caFile}),
    ...((tokenFile !== undefined || env.TUNL_TOKEN) && {tokenRequired: true}),
    ...(tokenFile !== undefined && {tokenFile}),
    ...(id !== undefined && {id}),
  };
}
