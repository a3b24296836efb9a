// HTTPS_PROXY and NO_PROXY: the proxy between the agent and a relay, if any.

import {BlockList, isIP} from 'node:net';
import {TunlError} from '../core/errors.js';
import {isLoopbackHost} from '../protocol/targets.js';
import type {RelayAddress} from './relay-url.js';

export interface HttpProxy {
  host: string;
  port: number;
  /** TLS to the proxy itself: an `https:` proxy. */
  secure: boolean;
  /** The `Proxy-Authorization` header. A secret. */
  authorization: string | undefined;
  /** `host:port`, for people: without the credentials. */
  label: string;
}

/** A relay on this machine is never reached through a proxy. @throws TunlError PROXY_FAILED when the variable is invalid. */
export function proxyFor(relay: RelayAddress, env: NodeJS.ProcessEnv): HttpProxy | undefined {
  // Lower case first, like curl; an empty value means no proxy.
  const text = env.https_proxy ?? env.HTTPS_PROXY ?? '';
  if (text === '' || isLoopbackHost(relay.host)) return undefined;
  if (bypassesProxy(relay, env.no_proxy ?? env.NO_PROXY ?? '')) return undefined;
  return parseProxy(text);
}

/** A sentence when only ALL_PROXY names a proxy for this relay: tunl does not use it. */
export function ignoredProxy(relay: RelayAddress, env: NodeJS.ProcessEnv): string | undefined {
  const text = env.all_proxy ?? env.ALL_PROXY ?? '';
  if (text === '' || (env.https_proxy ?? env.HTTPS_PROXY) !== undefined || isLoopbackHost(relay.host))
    return undefined;
  if (bypassesProxy(relay, env.no_proxy ?? env.NO_PROXY ?? '')) return undefined;
  const isSocks = /^socks/i.test(text);
  return `ALL_PROXY is not used${isSocks ? ': tunl knows no SOCKS proxies' : ''}; set HTTPS_PROXY to an http or https proxy`;
}

function parseProxy(text: string): HttpProxy {
  // The text of the variable may contain a password, so it is not repeated.
  const unusable = (why: string) => new TunlError('PROXY_FAILED', {reason: `HTTPS_PROXY ${why}.`});
  const full = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(full)) throw unusable('is not a URL');
  const url = new URL(full);
  // A # / or ? in a password ends the host early: the rest of the password would be looked up as a name.
  if (url.hash !== '' || url.search !== '' || url.pathname.includes('@')) {
    throw unusable(
      'has something after the host; in a password write # as %23, / as %2F, ? as %3F and @ as %40',
    );
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw unusable(`names a ${url.protocol.slice(0, -1)} proxy; only http and https proxies are known`);
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  const user = `${decoded(url.username)}:${decoded(url.password)}`;
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port,
    secure,
    authorization: user === ':' ? undefined : `Basic ${Buffer.from(user, 'utf8').toString('base64')}`,
    label: `${url.hostname}:${port}`,
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * NO_PROXY in curl's syntax: names with all names below them, addresses, CIDR ranges, each with an optional port; `*` means
 * all.
 */
export function bypassesProxy({host, port}: Pick<RelayAddress, 'host' | 'port'>, noProxy: string): boolean {
  return noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && matches(entry, host.toLowerCase().replace(/\.$/, ''), port));
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  const {name, only} = splitPort(entry);
  if (only !== undefined && only !== String(port)) return false;
  if (isIP(host) !== 0) return coversAddress(name, host);
  const suffix = name.replace(/^\*?\./, '').replace(/\.$/, '');
  return suffix !== '' && (host === suffix || host.endsWith(`.${suffix}`));
}

/** `name:port`, `[address]:port`, or either alone; several colons without brackets are an IPv6 address. */
function splitPort(entry: string): {name: string; only: string | undefined} {
  const [, inBrackets, after] = /^\[([^\]]*)\](?::(\d+))?$/.exec(entry) ?? [];
  if (inBrackets !== undefined) return {name: inBrackets, only: after};
  const [name = '', only, more] = entry.split(':');
  return more === undefined ? {name, only} : {name: entry, only: undefined};
}

function coversAddress(range: string, host: string): boolean {
  const [network = '', bits] = range.split('/');
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4';
  if (isIP(network) === 0) return false;
  const list = new BlockList();
  const prefix = bits === undefined ? Number.NaN : Number(bits);
  if (bits === undefined) list.addAddress(network, family);
  else if (Number.isInteger(prefix) && prefix >= 0 && prefix <= (family === 'ipv6' ? 128 : 32))
    list.addSubnet(network, prefix, family);
  return list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}
