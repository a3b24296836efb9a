// The visitor's side of a tunnel's TLS name, for programs that do not speak TLS: one connection, verified, with half-close.

import {isIP, type Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';
import {outliveFailedWrites} from './bytes/failed-writes.js';
import {certificateError, socketError} from './carrier/dial-errors.js';
import {trustSets} from './carrier/trust.js';
import {systemCode, TunlError} from './core/errors.js';
import {tls} from './core/node-tls.js';
import {readOwnCa} from './core/own-ca.js';
import {stateDir} from './core/state-dir.js';
import {readTextFile} from './core/text-file.js';
import {dial, openSocket} from './net/dial.js';
import {parseTarget} from './protocol/targets.js';

export interface VisitOptions {
  host: string;
  port: number;
  /** PEM file of a CA besides the system's and that of this user's own relays. */
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
  // All authorities at once, because this one connection must not need a second attempt.
  const [, wide] = trustSets(ca, await readOwnCa(stateDir()));
  const {host, port, signal} = options;
  if (signal?.aborted) throw new TunlError('ABORTED');
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => {});
  const abort = () => over.reject(new TunlError('ABORTED'));
  const late = () => over.reject(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'}));
  signal?.addEventListener('abort', abort, {once: true});
  const timer = setTimeout(late, TIMEOUT_MS);
  const sockets: Socket[] = [];
  const dialled = Promise.withResolvers<Socket>();
  const stop = dial({
    host,
    port,
    open: (address, to) => openSocket(address, to, {allowHalfOpen: true}),
    onOpen: (raw) => {
      sockets.push(raw.on('error', over.reject));
      dialled.resolve(raw);
    },
    onFailed: dialled.reject,
  });
  try {
    const raw = await Promise.race([dialled.promise, over.promise]);
    const socket = tls.connect({
      socket: raw,
      host,
      // SNI cannot carry an IP address.
      servername: isIP(host) ? '' : host,
      secureContext: wide(),
      rejectUnauthorized: true,
    });
    sockets.push(socket);
    // Node's TLS sets this only for sockets that it has made.
    socket.allowHalfOpen = true;
    const secure = Promise.withResolvers<void>();
    socket.once('error', over.reject);
    socket.once('close', () => over.reject(Object.assign(new Error('closed'), {code: 'ECONNRESET'})));
    socket.once('secureConnect', secure.resolve);
    await Promise.race([secure.promise, over.promise]);
    readToTheEnd(socket);
    return socket;
  } catch (error) {
    stop();
    for (const socket of sockets) socket.on('error', () => {}).destroy();
    throw reasonOf(error, {host, port, hasOwnCa: ca !== undefined});
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** `HOST`, `HOST:PORT`, or a tunnel's URL. @throws TunlError TARGET_INVALID, PORT_RANGE */
export function visitedPlace(text: string): {host: string; port: number} {
  const place = text.replace(/^https:\/\//, '').replace(/\/$/, '');
  // A colon after the last bracket means a port, or an invalid place.
  return parseTarget(/:[^\]]*$/.test(place) || /^\d*$/.test(place) ? place : `${place}:443`);
}

/** A failed write breaks the connection only after all bytes of the tunnel have been read. */
function readToTheEnd(socket: Socket): void {
  outliveFailedWrites(socket, (code) => {
    const error = Object.assign(new Error(`write ${code}`), {code, syscall: 'write'});
    if (socket.readableEnded) socket.destroy(error);
    // A turn later: the reader must see the end first.
    else socket.once('end', () => setImmediate(() => socket.destroy(error)));
  });
}

function reasonOf(
  error: unknown,
  {host, port, hasOwnCa}: {host: string; port: number; hasOwnCa: boolean},
): TunlError {
  if (error instanceof TunlError) return error;
  const code = systemCode(error);
  // The relay checks the name before it shows a certificate, or closes.
  if (/UNRECOGNIZED_NAME/.test(code) || code === 'ECONNRESET') {
    return new TunlError('TUNNEL_UNKNOWN', {
      reason: `There is no tunnel ${host} at port ${port}.`,
      cause: error,
    });
  }
  const peer = {kind: 'relay', label: `${host}:${port}`} as const;
  const isCertificate = /^(CERT_|UNABLE_|DEPTH_|SELF_|ERR_TLS_CERT)/.test(code);
  return isCertificate ? certificateError(peer, {host, code, hasOwnCa}, error) : socketError(peer, error);
}
