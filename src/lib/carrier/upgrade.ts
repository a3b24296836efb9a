// The relay's side of opening a carrier: an `upgrade` request becomes a carrier, or gets an answer with the reason.

import type {IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {Clock} from '../core/clock.js';
import {ERRORS, type ErrorCode} from '../core/errors.js';
import {endWith} from '../net/end-with.js';
import {acceptFor, isWebSocketKey, judgeSubprotocols, listOf, SUBPROTOCOL} from './handshake.js';
import {type CarrierTuning, WebSocketCarrier} from './ws-carrier.js';

/** The reason phrases of a relay's answers; node:http's own table would cost 40 ms at every start (it loads fetch). */
const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  503: 'Service Unavailable',
};

export interface UpgradeRefusal {
  status: number;
  code: ErrorCode;
  message: string;
  headers?: Record<string, string>;
}

export interface AcceptOptions extends CarrierTuning {
  req: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  /** Headers of the 101 answer besides those of the handshake. */
  headers?: Record<string, string>;
}

/**
 * Answers an http server's `upgrade` event, in that event's own tick: until a listener is on it, an error of the
 * socket would end the process. An invalid request is refused, and undefined is returned. Extensions are never accepted.
 */
export function acceptUpgrade(options: AcceptOptions): WebSocketCarrier | undefined {
  const {req} = options;
  // An http server's sockets are TCP or TLS sockets; the type is wider for servers of other kinds.
  const socket = options.socket as Socket;
  const refusal = judgeUpgrade(req);
  if (refusal !== undefined) {
    refuseUpgrade(socket, refusal.status, refusal);
    return undefined;
  }
  const carrier = new WebSocketCarrier({...options, socket, role: 'relay'});
  const headers = {
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Accept': acceptFor(req.headers['sec-websocket-key'] ?? ''),
    'Sec-WebSocket-Protocol': SUBPROTOCOL,
    ...options.headers,
  };
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headerLines(headers)}\r\n`);
  return carrier;
}

/**
 * Browsers send `Origin` with every WebSocket, agents never do. A request with it is refused, so that no web page can reach
 * a relay without tokens on the same machine or network.
 */
export function judgeOrigin(req: IncomingMessage): UpgradeRefusal | undefined {
  if (req.headers.origin === undefined) return undefined;
  return {
    status: 403,
    code: 'PROTOCOL',
    message: 'A web page cannot be an agent: an upgrade must not have an Origin.',
  };
}

/** Why a request cannot become a carrier; undefined when it can. */
export function judgeUpgrade(req: IncomingMessage): UpgradeRefusal | undefined {
  const bad = (message: string): UpgradeRefusal => ({status: 400, code: 'PROTOCOL', message});
  const {headers} = req;
  const foreign = judgeOrigin(req);
  if (foreign !== undefined) return foreign;
  if (req.method !== 'GET') return {...bad('An upgrade is a GET.'), status: 405, headers: {Allow: 'GET'}};
  if (req.httpVersion !== '1.1') return bad('An upgrade needs HTTP/1.1.');
  if (headers.upgrade?.toLowerCase() !== 'websocket')
    return bad('Only an upgrade to websocket is known here.');
  if (!listOf(headers.connection?.toLowerCase()).includes('upgrade'))
    return bad('Connection does not say upgrade.');
  if (!isWebSocketKey(headers['sec-websocket-key']))
    return bad('Sec-WebSocket-Key is not 16 bytes in base64.');
  if (headers['sec-websocket-version'] !== '13') {
    const other = bad('Only version 13 of the WebSocket protocol is known here.');
    return {...other, status: 426, headers: {'Sec-WebSocket-Version': '13'}};
  }
  const code = judgeSubprotocols(listOf(headers['sec-websocket-protocol']));
  if (code === undefined) return undefined;
  const message = `${ERRORS[code].sentence} It speaks ${SUBPROTOCOL}.`;
  return {status: 426, code, message, headers: {Upgrade: 'websocket'}};
}

export interface RefuseOptions {
  code: ErrorCode;
  message: string;
  /** The agent should not come back before this time, ms. */
  retryAfterMs?: number;
  headers?: Record<string, string>;
  clock?: Clock;
}

/** Answers an upgrade with a small HTTP response and closes the socket when the peer has read it, or after a short time. */
export function refuseUpgrade(socket: Duplex, status: number, options: RefuseOptions): void {
  const {code, message, retryAfterMs} = options;
  const body = `${JSON.stringify({error: {code, message}})}\n`;
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    'Cache-Control': 'no-store',
    Connection: 'close',
    ...(retryAfterMs !== undefined && {'Retry-After': String(Math.ceil(retryAfterMs / 1000))}),
    ...options.headers,
  };
  const head = `HTTP/1.1 ${status} ${REASONS[status] ?? 'Refused'}\r\n${headerLines(headers)}\r\n`;
  endWith(socket, head + body, options.clock);
}

function headerLines(headers: Record<string, string>): string {
  return Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
}
