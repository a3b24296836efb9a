// The one rule of RFC 6761 §6.3: `localhost` and every name below it are this machine, whatever a resolver says.

import {isIP} from 'node:net';

const LOOPBACK = ['127.0.0.1', '::1'] as const;

export function isLocalhostName(host: string): boolean {
  return /(^|\.)localhost\.?$/i.test(host);
}

/** `localhost`, every name below it, 127.0.0.0/8 and ::1. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || isLocalhostName(host);
}

/** The addresses of a host that needs no resolver; undefined for all others. */
export function knownAddresses(host: string): readonly string[] | undefined {
  if (isLocalhostName(host)) return LOOPBACK;
  return isIP(host) === 0 ? undefined : [host];
}
