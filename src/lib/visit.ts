// The visitor's side of a tunnel's TLS name, for programs that speak no TLS themselves: one connection, checked, half-close kept.

import {connect as connectTcp, isIP} from 'node:net';
import type {TLSSocket} from 'node:tls';
import {certificateError, socketError} from './carrier/dial-errors.js';
import {trustSets} from './carrier/trust.js';
import {systemCode, TunlError} from './core/errors.js';
import {tls} from './core/node-tls.js';
import {readTextFile} from './core/text-file.js';
import {parseTarget} from './protocol/targets.js';

export interface VisitOptions {
  host: string;
  port: number;
  /** PEM file of a CA besides the system's. */
  caFile?: string;
  signal?: AbortSignal;
}

const TIMEOUT_MS = 10_000;

/**
 * Resolves when the tunnel has accepted the connection and its certificate has been checked.
 *
 * @throws TunlError TUNNEL_UNKNOWN, RELAY_*, FILE_UNREADABLE, CERTIFICATE_INVALID, ABORTED
 */
export async function visit(options: VisitOptions): Promise<TLSSocket> {
  const ca = options.caFile === undefined ? undefined : await readTextFile(options.caFile);
  // The whole set at once: this is one connection, and it must not have to be tried twice.
  const [, wide] = trustSets(ca);
  const {host, port, signal} = options;
  if (signal?.aborted) throw new TunlError('ABORTED');
  const raw = connectTcp({host: addressOf(host), port, allowHalfOpen: true, noDelay: true});
  const socket = tls.connect({
    socket: raw,
    host,
    // An IP address is no name that could be asked for.
    servername: isIP(host) ? '' : host,
    secureContext: wide(),
    rejectUnauthorized: true,
  });
  // What Node's TLS takes from the socket below only when that one was made by itself.
  socket.allowHalfOpen = true;
  try {
    await new Promise<void>((resolve, reject) => {
      const late = () => reject(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'}));
      raw.setTimeout(TIMEOUT_MS, late);
      signal?.addEventListener('abort', () => reject(new TunlError('ABORTED')), {once: true});
      raw.once('error', reject);
      socket.once('error', reject);
      socket.once('close', () => reject(Object.assign(new Error('closed'), {code: 'ECONNRESET'})));
      socket.once('secureConnect', () => {
        raw.setTimeout(0);
        resolve();
      });
    });
  } catch (error) {
    socket.on('error', () => {});
    raw.on('error', () => {});
    socket.destroy();
    raw.destroy();
    throw reasonOf(error, host, port);
  }
  return socket;
}

/** `HOST`, `HOST:PORT`, or a tunnel's URL. @throws TunlError TARGET_INVALID, PORT_RANGE */
export function visitedPlace(text: string): {host: string; port: number} {
  const place = text.replace(/^https:\/\//, '').replace(/\/$/, '');
  // What has a colon after the last bracket has a port, or is no place at all.
  return parseTarget(/:[^\]]*$/.test(place) || /^\d*$/.test(place) ? place : `${place}:443`);
}

/** Names below `.localhost` are loopback whatever the resolver says (RFC 6761). */
function addressOf(host: string): string {
  const name = host.toLowerCase();
  return name === 'localhost' || name.endsWith('.localhost') ? '127.0.0.1' : host;
}

function reasonOf(error: unknown, host: string, port: number): TunlError {
  if (error instanceof TunlError) return error;
  const code = systemCode(error);
  // The relay knows the name before it shows a certificate, or hangs up.
  if (/UNRECOGNIZED_NAME/.test(code) || code === 'ECONNRESET') {
    return new TunlError('TUNNEL_UNKNOWN', {
      reason: `There is no tunnel ${host} at port ${port}.`,
      cause: error,
    });
  }
  const peer = {kind: 'relay', label: `${host}:${port}`} as const;
  const isCertificate = /^(CERT_|UNABLE_|DEPTH_|SELF_|ERR_TLS_CERT)/.test(code);
  return isCertificate ? certificateError(peer, host, code, error) : socketError(peer, error);
}
