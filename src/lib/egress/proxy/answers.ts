// The answers for a client of the proxy whose destination is not reached, in its own protocol.

import {streamCodeOf} from '../../agent/refused-stream.js';
import type {TunlError} from '../../core/errors.js';
import {oneLine} from '../../core/one-line.js';
import {SOCKS_REPLY, type SocksReply} from './socks.js';

interface Answer {
  readonly socks: SocksReply;
  readonly status: number;
  /** A type of `Proxy-Status` (RFC 9209). */
  readonly error: string;
}

const {failed, notAllowed, unreachable, refused, timedOut} = SOCKS_REPLY;

export function answerTo(error: TunlError): Answer {
  switch (streamCodeOf(error)) {
    case 'NOT_ALLOWED':
    case 'EGRESS_FORBIDDEN':
      return {socks: notAllowed, status: 403, error: 'destination_ip_prohibited'};
    case 'NAME_UNKNOWN':
      return {socks: unreachable, status: 502, error: 'dns_error'};
    case 'UNREACHABLE':
      return {socks: unreachable, status: 502, error: 'destination_ip_unroutable'};
    case 'UPSTREAM_REFUSED':
    case 'UPSTREAM_RESET':
      return {socks: refused, status: 502, error: 'connection_refused'};
    case 'UPSTREAM_TIMEOUT':
      return {socks: timedOut, status: 504, error: 'connection_timeout'};
    case 'TOO_MANY_STREAMS':
      return {socks: failed, status: 503, error: 'connection_limit_reached'};
    case 'EGRESS_UNHEALTHY':
    case 'DRAINING':
      return {socks: failed, status: 503, error: 'destination_unavailable'};
    default:
      break;
  }
  switch (error.code) {
    case 'TARGET_INVALID':
    case 'PORT_INVALID':
    case 'PORT_RANGE':
      return {socks: failed, status: 400, error: 'http_request_error'};
    case 'RELAY_TIMEOUT':
      return {socks: failed, status: 504, error: 'connection_timeout'};
    case 'RELAY_BUSY':
      return {socks: failed, status: 503, error: 'connection_limit_reached'};
    default:
      return {socks: failed, status: 502, error: 'proxy_internal_error'};
  }
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  407: 'Proxy Authentication Required',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** A short text for people; the connection ends after it. */
export function httpAnswer(status: number, text: string, more: Record<string, string> = {}): HttpAnswer {
  const body = `${text}\n`;
  return {
    status,
    headers: {
      'Content-Type': 'text/plain; charset=utf-8',
      'Content-Length': String(Buffer.byteLength(body)),
      Connection: 'close',
      ...more,
    },
    body,
  };
}

export function failureAnswer(error: TunlError): HttpAnswer {
  const {status, error: kind} = answerTo(error);
  return httpAnswer(status, `tunl: ${oneLine(error.message)} ${error.next} (${error.code})`, {
    'Proxy-Status': `tunl; error=${kind}`,
  });
}

/** For a socket without a response object. */
export function rawAnswer({status, headers, body}: HttpAnswer): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? ''}\r\n${lines.join('')}\r\n${body}`;
}
