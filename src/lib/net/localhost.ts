// Hosts that need no resolver.

import {isIP} from 'node:net';
import {isLocalhostName} from '../core/localhost.js';

const LOOPBACK = ['127.0.0.1', '::1'] as const;

/** The addresses of such a host; undefined for all others. */
export function knownAddresses(host: string): readonly string[] | undefined {
  if (isLocalhostName(host)) return LOOPBACK;
  return isIP(host) === 0 ? undefined : [host];
}
