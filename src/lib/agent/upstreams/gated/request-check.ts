// Checks a request before a gate sees it. Two programs that read one message differently are how requests are smuggled past
// a gate, so whatever can be read in two ways is refused.
//
// Node's parser has already refused bare LF and CR, folded lines, spaces before colons, `Content-Length` twice or together
// with `Transfer-Encoding`, and unknown codings after `chunked`.

import {type HeaderList, tokensOf, valuesOf} from './headers.js';

export interface RawRequest {
  readonly method: string;
  /** The request target as it was sent. */
  readonly target: string;
  /** `:authority` of HTTP/2; undefined for HTTP/1. */
  readonly authority: string | undefined;
  readonly headers: HeaderList;
  /** `1.1`; `h2` for a request that was no text. */
  readonly httpVersion: string;
  readonly isUpgrade: boolean;
}

type Status = 400 | 405 | 421 | 431;

export type Checked =
  | {readonly ok: true; readonly path: string; readonly authority: string}
  | {readonly ok: false; readonly status: Status; readonly why: string};

/** Names, addresses in brackets, and a port: no user, no escape, no space. */
const AUTHORITY = /^(?<host>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(?<port>\d{1,5}))?$/i;
const ABSOLUTE = /^https?:\/\/(?<authority>[^/?#]*)(?<path>[/?].*)?$/is;

const MOST_PORT = 65_535;

/** Their size is bounded as well. */
const MAX_HEADERS = 1_000;

/** Protocols in which further requests could follow that no gate sees. */
const OTHER_HTTP = /^(h2c?|http\/.*|tls\/.*|connect-.*)$/;

/** @param hosts the tunnel's own, in lower case and without ports */
export function checkRequest(request: RawRequest, hosts: ReadonlySet<string>): Checked {
  const {method, headers, httpVersion} = request;
  if (method === 'CONNECT') return bad('CONNECT is not possible here.', 405);
  if (!['1.0', '1.1', 'h2'].includes(httpVersion)) return bad('This version of HTTP is not possible here.');
  if (headers.length / 2 > MAX_HEADERS) return bad('The request has too many headers.', 431);
  const codings = tokensOf(headers, 'transfer-encoding');
  if (codings.length > 0) {
    if (httpVersion !== '1.1' || codings.join() !== 'chunked')
      return bad('This Transfer-Encoding is not possible here.');
    if (valuesOf(headers, 'content-length').length > 0)
      return bad('The length of the request is given in two ways.');
  }
  if (valuesOf(headers, 'content-length').length > 1) return bad('The request has two lengths.');
  const named = valuesOf(headers, 'host');
  if (named.length > 1) return bad('The request names two hosts.');
  if (tokensOf(headers, 'upgrade').some((protocol) => OTHER_HTTP.test(protocol)))
    return bad('This upgrade is not possible here.');
  if (request.isUpgrade && (codings.length > 0 || Number(valuesOf(headers, 'content-length')[0] ?? 0) > 0))
    return bad('An upgrade with a body is not possible here.');
  return checkTarget(request, named[0], hosts);
}

function checkTarget(
  {target, authority, httpVersion}: RawRequest,
  named: string | undefined,
  hosts: ReadonlySet<string>,
): Checked {
  const absolute = ABSOLUTE.exec(target)?.groups;
  const path = absolute === undefined ? target : `${absolute.path ?? '/'}`.replace(/^\?/, '/?');
  if ((!path.startsWith('/') && path !== '*') || path.includes('#'))
    return bad('The target of the request is not valid.');
  const all = [absolute?.authority, authority, named].filter((each) => each !== undefined);
  const [first] = all;
  if (first === undefined) {
    // HTTP/1.0 needs no host.
    const [own] = hosts;
    return httpVersion === '1.0' && own !== undefined
      ? {ok: true, path, authority: own}
      : bad('The request names no host.');
  }
  // The port is not compared: a relay may stand behind another port than it knows.
  const found = all.map(hostOf);
  if (found.some((host) => host === undefined)) return bad('The host of the request is not valid.');
  if (found.some((host) => !hosts.has(host as string)))
    return bad('The request is for another host than this tunnel.', 421);
  return {ok: true, path, authority: first};
}

function hostOf(authority: string): string | undefined {
  const {host, port = ''} = AUTHORITY.exec(authority)?.groups ?? {};
  return Number(port) > MOST_PORT ? undefined : host?.toLowerCase().replace(/\.$/, '');
}

function bad(why: string, status: Status = 400): Checked {
  return {ok: false, status, why};
}
