// Where a relay is: its URL, and the rule that every name under `.localhost` is this machine (RFC 6761 §6.3).

import dns from 'node:dns';
import {isIP, type LookupFunction} from 'node:net';
import {TunlError} from '../core/errors.js';

export interface RelayAddress {
  /** For dialling and for the certificate: an IPv6 address has no brackets. */
  host: string;
  port: number;
  /** As the `Host` header has it: with the port only when it is not 443. */
  authority: string;
  /** `host:port`, for people. */
  label: string;
}

/** @throws TunlError RELAY_URL_INVALID */
export function parseRelayUrl(text: string): RelayAddress {
  const invalid = (why: string) => new TunlError('RELAY_URL_INVALID', {reason: `The relay address ${why}.`});
  if (!URL.canParse(text)) throw invalid('is not a URL');
  const url = new URL(text);
  if (url.protocol !== 'https:') throw invalid(`begins with ${url.protocol}//, not https://`);
  if (url.username !== '' || url.password !== '')
    throw invalid('holds a user name or password; a token has its own place');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    throw invalid('has something after the host');
  const port = url.port === '' ? 443 : Number(url.port);
  if (port === 0) throw invalid('has port 0');
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port,
    authority: url.host,
    label: `${url.hostname}:${port}`,
  };
}

/** One spelling for each relay: `https://host`, with `:port` only when it is not 443. @throws TunlError RELAY_URL_INVALID */
export function relayOrigin(text: string): string {
  return `https://${parseRelayUrl(text).authority}`;
}

/** `localhost`, every name under it, 127.0.0.0/8 and ::1. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || isLocalhostName(host);
}

function isLocalhostName(host: string): boolean {
  return /(^|\.)localhost\.?$/i.test(host);
}

/** Resolves names under `.localhost` to loopback without asking; all others as usual. For the `lookup` option of sockets. */
export const lookup: LookupFunction = (hostname, options, callback) => {
  if (!isLocalhostName(hostname)) return dns.lookup(hostname, options, callback);
  const both = [
    {address: '127.0.0.1', family: 4},
    {address: '::1', family: 6},
  ];
  const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : options.family;
  const fitting = both.filter((entry) => !family || entry.family === family);
  process.nextTick(() => {
    if (options.all) callback(null, fitting);
    else callback(null, fitting[0]?.address ?? '127.0.0.1', fitting[0]?.family ?? 4);
  });
};
