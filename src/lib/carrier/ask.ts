// One HTTPS request and its answer, with the same trust and the same proxies as a link. For the site of a relay, and for an
// issuer of identities.

import type {IncomingHttpHeaders, IncomingMessage} from 'node:http';
import https from 'node:https';
import type {Socket} from 'node:net';
import {systemCode, type TunlError} from '../core/errors.js';
import {Attempt} from './attempt.js';
import {openTls, openTunnel} from './connect.js';
import {failure, ONE_CODE, type Peer, socketError} from './dial-errors.js';
import {proxyFor} from './proxy.js';
import type {RelayAddress} from './relay-url.js';

export interface AskOptions {
  /** `https://host[:port]/path` */
  url: URL;
  /** Whose failures they are. */
  kind: 'relay' | 'issuer';
  method?: 'GET' | 'POST';
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** PEM; trusted besides the system's authorities. */
  ca?: string | undefined;
  /** PEM; the CA of this user's own relays. */
  ownCa?: string | undefined;
  /** For the whole request, ms. */
  timeoutMs?: number;
  /** A longer answer is an error. */
  maxBytes?: number;
  signal?: AbortSignal | undefined;
  /** HTTPS_PROXY and NO_PROXY. Default `process.env`. */
  env?: NodeJS.ProcessEnv;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 64 * 1024;

/** Redirects are not followed. @throws TunlError RELAY_* or ISSUER_FAILED, PROXY_FAILED, ABORTED, CERTIFICATE_INVALID */
export async function ask(options: AskOptions): Promise<Answer> {
  const {url, kind, signal, timeoutMs = TIMEOUT_MS} = options;
  const at = addressOf(url);
  const peer: Peer = {kind, label: at.label};
  using attempt = new Attempt({timeoutMs, signal, label: at.label});
  const proxy = proxyFor(at, options.env ?? process.env);
  const {ca, ownCa} = options;
  const socket = await openTls(attempt, peer, {
    host: at.host,
    port: at.port,
    ca,
    ownCa,
    ...(proxy !== undefined && {through: () => openTunnel(attempt, proxy, {relay: at, ca})}),
  });
  try {
    return await exchange(attempt, peer, socket, {...options, authority: at.authority});
  } finally {
    socket.destroy();
  }
}

function addressOf(url: URL): RelayAddress {
  const port = url.port === '' ? 443 : Number(url.port);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port,
    authority: url.host,
    label: `${url.hostname}:${port}`,
  };
}

function exchange(
  attempt: Attempt,
  peer: Peer,
  socket: Socket,
  {url, method = 'GET', headers, body, authority, maxBytes = MAX_BYTES}: AskOptions & {authority: string},
): Promise<Answer> {
  const code = ONE_CODE[peer.kind];
  return attempt.run<Answer>({name: 'answer', ...(code !== undefined && {code})}, ({done, fail}) => {
    const req = https.request({
      createConnection: () => socket,
      method,
      path: `${url.pathname}${url.search}`,
      setHost: false,
      headers: {
        Host: authority,
        Accept: 'application/json',
        ...headers,
        ...(body !== undefined && {'Content-Length': String(Buffer.byteLength(body))}),
        Connection: 'close',
      },
    });
    const lost = () => fail(failure(peer, 'RELAY_LOST', `${peer.label} closed the connection`));
    req.on('response', (res) => {
      readText(res, maxBytes).then(
        (text) => done({status: res.statusCode ?? 0, headers: res.headers, text}),
        (error: unknown) =>
          error instanceof RangeError
            ? fail(
                failure(peer, 'RELAY_NOT_TUNL', `${peer.label} sent a longer answer than ${maxBytes} bytes`),
              )
            : lost(),
      );
    });
    req.on('error', (error) => fail(requestError(peer, error)));
    req.end(body);
    if (socket.destroyed) lost();
    return () => req.destroy();
  });
}

async function readText(res: IncomingMessage, maxBytes: number): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of res as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > maxBytes) throw new RangeError('too long');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function requestError(peer: Peer, error: Error): TunlError {
  if (systemCode(error).startsWith('HPE_'))
    return failure(peer, 'RELAY_NOT_TUNL', `${peer.label} does not speak HTTP`, error);
  return socketError(peer, error);
}
