// A TLS server as an upstream: its certificate is checked against the system's authorities or a given one.

import {isIP, type Socket} from 'node:net';
import type {SecureContext, SecureContextOptions, TLSSocket} from 'node:tls';
import {resetSocket} from '../../bytes/reset.js';
import {machineAuthorities} from '../../carrier/trust.js';
import {alpnList} from '../../core/alpn-list.js';
import {tls} from '../../core/node-tls.js';
import {dial, openSocket} from '../../net/dial.js';
import {formatHostPort, type HostPort} from '../../protocol/targets.js';
import {listenStateOf} from './tcp.js';
import {isUnknownIssuer, sayAlert, tlsError} from './tls-errors.js';
import {
  DIAL_TIMEOUT_MS,
  type ListenState,
  PROBE_TIMEOUT_MS,
  type Upstream,
  type UpstreamConnection,
  type UpstreamDial,
} from './upstream.js';

/** The settings, with the contents of the files of `UpstreamTls`. */
export interface TlsSettings {
  /** PEM; trusted besides the system's authorities. */
  ca?: string | undefined;
  /** PEM of a client certificate and its key. */
  cert?: string | undefined;
  key?: string | undefined;
  insecure?: boolean | undefined;
  serverName?: string | undefined;
}

/** Reading the system's store takes a tenth of a second, so the narrow set is tried first: carrier/trust.ts. */
type Trust = 'narrow' | 'wide';

interface Handshake {
  alpn: string | undefined;
  preface: Buffer | undefined;
  timeoutMs: number;
  onSecure: (connection: UpstreamConnection & {socket: TLSSocket}) => void;
  onFailed: (error: Error) => void;
}

export class TlsUpstream implements Upstream {
  readonly label: string;
  readonly port: number;
  readonly #place: HostPort;
  readonly #settings: TlsSettings;
  /** The name for SNI and for the check. */
  readonly #name: string;
  readonly #contexts = new Map<Trust, SecureContext>();
  #trust: Trust = 'narrow';
  #answered: string | undefined;
  /** A handshake has succeeded: from here on an open port is enough. */
  #passed = false;

  /** @throws Error of OpenSSL when certificate or key cannot be used. */
  constructor(place: HostPort, settings: TlsSettings = {}) {
    this.#place = place;
    this.port = place.port;
    this.#settings = settings;
    this.#name = settings.serverName ?? place.host.replace(/\.$/, '');
    this.label = `https://${formatHostPort(place.host, place.port)}`;
    this.#context('narrow');
  }

  dial({alpn, preface, onOpen, onFailed, onComplaint}: UpstreamDial): () => void {
    return this.#connect({
      alpn,
      preface,
      timeoutMs: DIAL_TIMEOUT_MS,
      onSecure: (connection) => {
        onOpen(connection);
        // A missing or refused client certificate is reported after the handshake (TLS 1.3).
        connection.socket.once('error', (error) => {
          const complaint = sayAlert(error, this.label);
          if (complaint !== undefined) onComplaint?.(complaint);
        });
      },
      onFailed,
    });
  }

  async listenState(): Promise<ListenState> {
    return this.#passed ? await listenStateOf(this.#place) : 'unknown';
  }

  probe(preface?: Buffer): Promise<Error | undefined> {
    return new Promise((resolve) => {
      this.#connect({
        alpn: undefined,
        preface,
        timeoutMs: PROBE_TIMEOUT_MS,
        onSecure: ({socket}) => {
          resolve(undefined);
          socket.on('error', () => {}).end();
          socket.resume();
          socket.setTimeout(PROBE_TIMEOUT_MS, () => socket.destroy());
          socket.unref();
        },
        onFailed: resolve,
      });
    });
  }

  #connect(wish: Handshake): () => void {
    let stop = () => {};
    const attempt = (trust: Trust) => {
      // Made before the connection, because a server does not wait for long, and the wide set takes time.
      this.#context(trust);
      const failed = (error: Error) => {
        this.#passed = false;
        if (trust === 'wide' || !isUnknownIssuer(error)) return wish.onFailed(error);
        this.#trust = 'wide';
        attempt('wide');
      };
      stop = dial({
        ...this.#place,
        timeoutMs: wish.timeoutMs,
        prefer: this.#answered,
        open: (address, port) => openSocket(address, port, {allowHalfOpen: true}),
        onOpen: (raw, address) => {
          this.#answered = address;
          stop = this.#shakeHands(raw, trust, {...wish, onFailed: failed});
        },
        onFailed: failed,
      });
    };
    attempt(this.#trust);
    return () => stop();
  }

  #shakeHands(
    raw: Socket,
    trust: Trust,
    {alpn, preface, timeoutMs, onSecure, onFailed}: Handshake,
  ): () => void {
    if (preface !== undefined) raw.write(preface);
    const socket = tls.connect({
      socket: raw,
      host: this.#name,
      ...(isIP(this.#name) === 0 && {servername: this.#name}),
      ...(alpn !== undefined && {ALPNProtocols: alpnList([alpn])}),
      secureContext: this.#context(trust),
      rejectUnauthorized: !this.#settings.insecure,
    });
    const end = () => {
      clearTimeout(timer);
      socket.off('secureConnect', secure).off('error', failed).off('close', failed);
    };
    const drop = () => {
      end();
      socket.on('error', () => {}).destroy();
    };
    const failed = (error?: Error | boolean) => {
      drop();
      const lost = Object.assign(new Error('closed'), {code: 'ECONNRESET'});
      onFailed(tlsError(error instanceof Error ? error : lost, this.label, this.#name));
    };
    const secure = () => {
      end();
      this.#passed = true;
      onSecure({socket, reads: 'events', reset: () => resetSocket(socket, raw)});
    };
    const late = () => failed(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'}));
    const timer = setTimeout(late, timeoutMs).unref();
    socket.once('secureConnect', secure).on('error', failed).on('close', failed);
    return drop;
  }

  #context(trust: Trust): SecureContext {
    const known = this.#contexts.get(trust);
    if (known !== undefined) return known;
    const {ca, cert, key} = this.#settings;
    const given = ca === undefined ? [] : [ca];
    const options: SecureContextOptions = {
      ...(trust === 'wide' ? {ca: [...machineAuthorities(), ...given]} : ca === undefined ? {} : {ca}),
      ...(cert !== undefined && {cert}),
      ...(key !== undefined && {key}),
    };
    const made = tls.createSecureContext(options);
    this.#contexts.set(trust, made);
    return made;
  }
}
