// The visitor's side of a tunnel's TLS name, for programs that do not speak TLS: one connection, verified, with half-close.

import {isIP, type Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';
import {Contexts} from './agent/login/contexts.js';
import {outliveFailedWrites} from './bytes/failed-writes.js';
import {Attempt} from './carrier/attempt.js';
import {openTunnel} from './carrier/connect.js';
import {certificateError, socketError} from './carrier/dial-errors.js';
import {ignoredProxy as ignoredFor, proxyFor} from './carrier/proxy.js';
import type {RelayAddress} from './carrier/relay-url.js';
import {trustSets} from './carrier/trust.js';
import {systemCode, TunlError} from './core/errors.js';
import {tls} from './core/node-tls.js';
import {readOwnCa} from './core/own-ca.js';
import {readCaFile} from './core/pem.js';
import {usableState} from './core/usable-state.js';
import {dial, openSocket} from './net/dial.js';
import {parseTarget} from './protocol/targets.js';

export interface VisitOptions {
  host: string;
  port: number;
  /** PEM file of a CA besides the system's and that of this user's own relays. Default: that of a stored login at its relay. */
  caFile?: string;
  signal?: AbortSignal;
  /** HTTPS_PROXY and NO_PROXY. Default `process.env`. */
  env?: NodeJS.ProcessEnv;
}

const TIMEOUT_MS = 10_000;

/**
 * Resolves when the tunnel has accepted the connection and its certificate has been checked.
 *
 * @throws TunlError TUNNEL_UNKNOWN, ADDRESS_REFUSED, RELAY_*, PROXY_FAILED, FILE_UNREADABLE, CERTIFICATE_INVALID, ABORTED
 */
export async function visit(options: VisitOptions): Promise<TLSSocket> {
  const {path: stateDir} = usableState();
  const {caFile} = options;
  const ca =
    caFile === undefined ? await new Contexts(stateDir).caFor(options.host) : await readCaFile(caFile);
  // All authorities at once, because this one connection must not need a second attempt.
  const [, wide] = trustSets(ca, await readOwnCa(stateDir));
  const {host, port, signal} = options;
  if (signal?.aborted) throw new TunlError('ABORTED');
  // Made before the connection, because a slow machine takes longer than a relay waits for a ClientHello.
  const secureContext = wide();
  const relay = addressOf(host, port);
  const proxy = proxyFor(relay, options.env ?? process.env);
  using attempt = new Attempt({timeoutMs: TIMEOUT_MS, signal, label: relay.label});
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => {});
  const abort = () => over.reject(new TunlError('ABORTED'));
  const late = () => over.reject(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'}));
  signal?.addEventListener('abort', abort, {once: true});
  const timer = setTimeout(late, TIMEOUT_MS);
  const sockets: Socket[] = [];
  const dialled = Promise.withResolvers<Socket>();
  dialled.promise.catch(() => {});
  const onOpen = (raw: Socket) => {
    raw.allowHalfOpen = true;
    sockets.push(raw.on('error', over.reject));
    dialled.resolve(raw);
  };
  let stop = () => {};
  if (proxy === undefined) {
    const open = (address: string, to: number) => openSocket(address, to, {allowHalfOpen: true});
    stop = dial({host, port, open, onOpen, onFailed: dialled.reject});
  } else openTunnel(attempt, proxy, {relay, ca}).then(onOpen, dialled.reject);
  try {
    const raw = await Promise.race([dialled.promise, over.promise]);
    const socket = tls.connect({
      socket: raw,
      host,
      // SNI cannot carry an IP address.
      servername: isIP(host) ? '' : host,
      secureContext,
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

function addressOf(host: string, port: number): RelayAddress {
  const label = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {host, port, authority: label, label};
}

/** A sentence when a proxy variable is set that is not used. */
export function ignoredProxy(
  {host, port}: {host: string; port: number},
  env: NodeJS.ProcessEnv = process.env,
): string | undefined {
  return ignoredFor(addressOf(host, port), env);
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
  if (/ALERT_ACCESS_DENIED/.test(code))
    return new TunlError('ADDRESS_REFUSED', {
      reason: `The tunnel ${host} does not take visitors from this machine’s address.`,
      cause: error,
    });
  const peer = {kind: 'relay', label: `${host}:${port}`} as const;
  const isCertificate = /^(CERT_|UNABLE_|DEPTH_|SELF_|ERR_TLS_CERT)/.test(code);
  return isCertificate ? certificateError(peer, {host, code, hasOwnCa}, error) : socketError(peer, error);
}
