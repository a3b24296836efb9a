// Reads host and port of a relay from its URL.

import {TunlError} from '../core/errors.js';

export interface RelayAddress {
  /** For the dial and the certificate: an IPv6 address has no brackets. */
  host: string;
  port: number;
  /** The form of the `Host` header: with the port only when it is not 443. */
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
