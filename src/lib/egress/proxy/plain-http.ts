// Requests to `http://` destinations that a client of the proxy asks it to make: Node's server reads them, Node's client sends
// them on, each over a connection of its own.

import type {IncomingMessage, ServerResponse} from 'node:http';
import {pipeline} from 'node:stream';
import {valuesOf, without} from '../../agent/upstreams/gated/headers.js';
import {endToEnd} from '../../agent/upstreams/gated/hop-by-hop.js';
import {toTunlError} from '../../core/errors.js';
import {request as makeRequest} from '../../core/node-http.js';
import type {HostPort} from '../../protocol/targets.js';
import type {EgressClient} from '../client.js';
import {failureAnswer, type HttpAnswer, httpAnswer} from './answers.js';

export interface PlainRequest extends HostPort {
  /** As it was written: `example.com:8080`. */
  authority: string;
  path: string;
}

const OTHER_FORM =
  'This port is a proxy for HTTP and SOCKS 5, by an egress of tunl. Set it as the proxy of a program; it has no pages of its own.';
const OTHER_SCHEME =
  'This proxy makes requests to http:// URLs. For all others use CONNECT, as clients of HTTPS do.';
const NO_AUTHORITY = 'The request has no host.';

/** The destination of an absolute URL, or the answer to other requests. */
export function readPlain(url: string): PlainRequest | HttpAnswer {
  const [, scheme, authority = '', path = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^#]*)/i.exec(url) ?? [];
  if (scheme === undefined) return httpAnswer(400, OTHER_FORM);
  if (scheme.toLowerCase() !== 'http') return httpAnswer(501, OTHER_SCHEME);
  const at = readAuthority(authority.slice(authority.lastIndexOf('@') + 1), 80);
  if (at === undefined) return httpAnswer(400, NO_AUTHORITY);
  return {...at, path: path.startsWith('/') ? path : `/${path}`};
}

/** `host`, `host:port`, `[::1]:port`. Without a port: `defaultPort`; 0 makes it a must. */
export function readAuthority(
  authority: string,
  defaultPort: number,
): Omit<PlainRequest, 'path'> | undefined {
  const [, bracketed, name, digits = ''] =
    /^(?:\[([0-9a-f:.]+)\]|([^[\]:@/\s]+))(?::(\d{0,5}))?$/i.exec(authority) ?? [];
  const host = bracketed ?? name;
  const port = digits === '' ? defaultPort : Number(digits);
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  return {host, port, authority};
}

/** A function for the end of the connection when the destination has broken off in the middle of an answer. */
export async function passPlain(
  client: EgressClient,
  to: PlainRequest,
  {request, response}: {request: IncomingMessage; response: ServerResponse},
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const connection = await client.connect(to, {signal: gone.signal});
  const out = makeRequest({
    createConnection: () => connection,
    method: request.method,
    path: to.path,
    headers: headersFor(request, to.authority),
    setHost: false,
    insecureHTTPParser: false,
  });
  out.maxHeadersCount = 0;
  response.once('close', () => out.destroy());
  out.on('information', () => {});
  out.on('upgrade', (_reply, socket) => {
    // It was not asked to.
    socket.destroy();
    response.destroy();
  });
  out.on('response', (reply) => {
    response.sendDate = false;
    try {
      response.writeHead(
        reply.statusCode ?? 502,
        reply.statusMessage ?? '',
        without(endToEnd(reply.rawHeaders), (name) => name === 'trailer'),
      );
    } catch {
      // Node takes more from a server than it sends.
      response.destroy();
      return;
    }
    response.flushHeaders();
    // A part of an answer must not look like the whole one: a broken one ends the connection.
    pipeline(reply, response, () => {});
  });
  out.on('error', (error) => {
    if (response.headersSent) response.destroy();
    else answerPlain(response, failureAnswer(toTunlError(error, 'EGRESS_UNREACHABLE')));
  });
  pipeline(request, out, () => {});
}

export function answerPlain(response: ServerResponse, {status, headers, body}: HttpAnswer): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, headers);
  response.end(body);
}

function headersFor({rawHeaders}: IncomingMessage, authority: string): string[] {
  const OWN: readonly string[] = ['host', 'proxy-authorization', 'proxy-connection', 'expect', 'trailer'];
  const sent = without(endToEnd(rawHeaders), (name) => OWN.includes(name));
  const isChunked = valuesOf(rawHeaders, 'transfer-encoding').length > 0;
  // RFC 9112 §3.2.2: the host of the URL is in place of any other one.
  return [
    'Host',
    authority,
    ...sent,
    ...(isChunked ? ['Transfer-Encoding', 'chunked'] : []),
    'Connection',
    'close',
  ];
}
