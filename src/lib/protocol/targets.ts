// Hosts and ports as people write them: targets, addresses to listen on, port ranges, public addresses. Pure, no look-ups.

import {TunlError} from '../core/errors.js';
import {isLocalhostName} from '../core/localhost.js';

export interface HostPort {
  /** A name or an IP address; IPv6 without brackets. */
  host: string;
  port: number;
}

const MAX_PORT = 65_535;
/** RFC 1035 §2.3.4: 255 octets on the wire, 253 characters as text. */
const MAX_NAME = 253;

/** Checks a port number: whole, 1 to 65535 (also 0 when the system may choose). */
export function checkPort(value: unknown, {allowZero = false}: {allowZero?: boolean} = {}): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw new TunlError('PORT_INVALID', {reason: `The port ${shown(value)} is not a whole number.`});
  }
  if (value > MAX_PORT || value < (allowZero ? 0 : 1)) {
    throw new TunlError('PORT_RANGE', {
      reason: `The port ${value} is outside ${allowZero ? 0 : 1}–${MAX_PORT}.`,
      next: `Give a port from ${allowZero ? 0 : 1} to ${MAX_PORT}.`,
    });
  }
  return value;
}

/** A name or an address without a port; IPv6 with or without brackets. */
export function checkHost(
  text: string,
  code: 'TARGET_INVALID' | 'OPTION_INVALID' = 'TARGET_INVALID',
): string {
  const host = unbracketed(text.trim());
  if (isHost(host)) return host;
  throw new TunlError(code, {
    reason: `${shown(text)} is not a host.`,
    next: 'Write it like localhost, 192.168.1.9 or ::1.',
  });
}

/** `8000`, `:8000`, `localhost:8000`, `192.168.1.9:3000`, `[::1]:8000`. Without a host: `defaultHost`. */
export function parseTarget(text: string, defaultHost = 'localhost'): HostPort {
  const {host, port} = split(text, 'TARGET_INVALID');
  return {host: host || defaultHost, port: portFromText(port)};
}

/**
 * `HOST:PORT` to listen on; port 0 takes a free one. The host has no default, because the user must decide whether others can
 * connect.
 */
export function listenAddress(text: string): HostPort {
  const {host, port} = split(text, 'OPTION_INVALID');
  if (!host) {
    throw new TunlError('OPTION_INVALID', {
      reason: `The address to listen on, ${shown(text)}, is not HOST:PORT.`,
      next: 'Write 0.0.0.0:PORT for everybody, 127.0.0.1:PORT for this machine only.',
    });
  }
  return {host, port: portFromText(port, {allowZero: true})};
}

/** `20000-20999`, one port, or `0` for any free port of the system. */
export function portRange(text: string): readonly [first: number, last: number] {
  const parts = text.trim().split('-');
  const [from = '', to = from] = parts.map((part) => part.trim());
  if (parts.length > 2 || from === '' || to === '') {
    throw new TunlError('OPTION_INVALID', {
      reason: `The port range ${shown(text)} is not FIRST-LAST.`,
      next: 'Write it like 20000-20999.',
    });
  }
  const first = portFromText(from, {allowZero: true});
  const last = portFromText(to, {allowZero: true});
  if (first > last || (first === 0 && last !== 0)) {
    throw new TunlError('OPTION_INVALID', {
      reason: `The port range ${shown(text)} has to begin at 1 or more and must not end before it begins.`,
      next: 'Write it like 20000-20999, or 0 for any free port.',
    });
  }
  return [first, last];
}

/**
 * True for hosts that can only mean this machine: 127/8, ::1, their IPv4-mapped spellings, `localhost` and every name under
 * it (RFC 6761 §6.3). Short or octal spellings of IPv4 do not count: in doubt an address is public.
 */
export function isLoopbackHost(host: string): boolean {
  const bare = unbracketed(host).toLowerCase();
  if (bare.includes(':')) {
    const address = canonicalIPv6(bare);
    return (
      address === '::1' ||
      (address?.startsWith('::ffff:7f') === true && /^::ffff:7f[0-9a-f]{2}:/.test(address))
    );
  }
  if (isLocalhostName(bare)) return isName(bare);
  return bare.startsWith('127.') && isIPv4(bare);
}

/** `host:port`, with brackets around IPv6. */
export function formatHostPort(host: string, port: number): string {
  return `${bracketed(host)}:${port}`;
}

/** `https://host`, with `:port` only when it is not 443. */
export function publicUrl(host: string, port: number): string {
  return port === 443 ? `https://${bracketed(host)}` : `https://${formatHostPort(host, port)}`;
}

/** An IPv4 address in its one unambiguous spelling: four decimal numbers without leading zeros. */
export function isIPv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

/** An IPv6 address, without brackets; a zone (`fe80::1%eth0`) is allowed. */
export function isIPv6(text: string): boolean {
  return canonicalIPv6(text.replace(/%[0-9A-Za-z._~-]{1,64}$/, '')) !== undefined;
}

/** A name or an address, in ASCII: nothing that a shell or a URL would read differently. */
export function isHost(text: string): boolean {
  return isIPv4(text) || isIPv6(text) || isName(text);
}

function split(text: string, code: 'TARGET_INVALID' | 'OPTION_INVALID'): {host: string; port: string} {
  const invalid = (reason: string, next?: string) =>
    new TunlError(code, next === undefined ? {reason} : {reason, next});
  const trimmed = text.trim();
  if (trimmed === '') throw invalid('The address is empty.');
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed)) {
    throw invalid(`${shown(text)} is a URL, not HOST:PORT.`, 'Leave out the scheme and the path.');
  }
  const bracket = /^\[([^\]]*)\](?::(.*))?$/.exec(trimmed);
  if (bracket) {
    const [, host = '', port] = bracket;
    if (!isIPv6(host)) throw invalid(`${shown(host)} is not an IPv6 address.`);
    if (port === undefined) throw invalid(`${shown(text)} names no port.`);
    return {host, port};
  }
  const colon = trimmed.lastIndexOf(':');
  if (colon === -1) return {host: '', port: trimmed};
  const host = trimmed.slice(0, colon);
  if (host.includes(':')) {
    throw invalid(`${shown(text)} is ambiguous.`, 'Write IPv6 addresses in brackets, like [::1]:8000.');
  }
  if (host !== '' && !isIPv4(host) && !isName(host)) throw invalid(`${shown(host)} is not a host.`);
  return {host, port: trimmed.slice(colon + 1)};
}

function portFromText(text: string, options?: {allowZero?: boolean}): number {
  return checkPort(/^[+-]?\d{1,15}$/.test(text) ? Number(text) : text, options);
}

/** Letters, digits, hyphens and underscores (container names have them); a last label of digits would be a broken IPv4. */
function isName(text: string): boolean {
  if (text.length > MAX_NAME + 1) return false;
  const labels = (text.endsWith('.') ? text.slice(0, -1) : text).split('.');
  return (
    labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? '')
  );
}

/** The address in the spelling of RFC 5952, as the URL parser writes it. */
function canonicalIPv6(text: string): string | undefined {
  if (!/^[0-9a-f:.]{2,45}$/i.test(text) || !URL.canParse(`http://[${text}]`)) return undefined;
  return unbracketed(new URL(`http://[${text}]`).hostname);
}

function unbracketed(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}

/** Input of a user for an error text: quoted, control characters escaped, shortened. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
