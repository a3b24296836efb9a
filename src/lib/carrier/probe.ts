// Dials a public address as a visitor does, with the secret of a probe, and says which leg fails.

import {isIP, type Socket} from 'node:net';
import type {SecureContext, TLSSocket} from 'node:tls';
import {systemClock, type Timer} from '../core/clock.js';
import {systemCode, toTunlError} from '../core/errors.js';
import {tls} from '../core/node-tls.js';
import {dial, openSocket, type Resolve} from '../net/dial.js';
import {PROBE_ANSWER, PROBE_PROTOCOL} from '../protocol/probe.js';
import {certificateError, type Peer, socketError} from './dial-errors.js';
import {isUnknownIssuerCode, type MakeContext} from './trust.js';

/** The legs of a probe as its dialler sees them, in their order. */
export type DialLeg = 'dns' | 'tcp' | 'tls' | 'session';

/** The times of the legs that went well, ms. */
export type LegTimes = Partial<Record<DialLeg, number>>;

export type ProbeEnd = {ok: true; ms: LegTimes} | {ok: false; leg: DialLeg; reason: string; ms: LegTimes};

export interface ProbeTarget {
  /** The public name and port. */
  host: string;
  port: number;
  secret: string;
  /** The authorities to trust. The next set is tried when one does not know the issuer. Undefined: a port without TLS. */
  contexts: readonly MakeContext[] | undefined;
  /** Dial here instead of the public name's address. */
  at?: {host: string; port: number} | undefined;
  /** For everything, ms. */
  timeoutMs: number;
  /** Ends the probe at once. */
  signal?: AbortSignal | undefined;
  resolve?: Resolve;
  /** A connection is being made. Called before its other end can see it. */
  onSocket?: ((socket: Socket) => void) | undefined;
}

/** Never rejects. An aborted probe has failed in the leg that it had reached. */
export async function dialProbe(target: ProbeTarget): Promise<ProbeEnd> {
  try {
    return await dialWithContexts(target);
  } catch (error) {
    // Authorities that cannot be read.
    return {ok: false, leg: 'tls', reason: wordsOf(toTunlError(error).message), ms: {}};
  }
}

async function dialWithContexts(target: ProbeTarget): Promise<ProbeEnd> {
  const {contexts, timeoutMs} = target;
  const until = systemClock.now() + timeoutMs;
  if (contexts === undefined) return (await new Probe(target, undefined, timeoutMs).end).end;
  for (const context of contexts.slice(0, -1)) {
    const {end, code} = await new Probe(target, context, until - systemClock.now()).end;
    if (!isUnknownIssuerCode(code)) return end;
  }
  return (await new Probe(target, contexts.at(-1), until - systemClock.now()).end).end;
}

interface Ended {
  end: ProbeEnd;
  /** Why TLS failed. */
  code: string;
}

class Probe {
  readonly end: Promise<Ended>;
  readonly #target: ProbeTarget;
  readonly #peer: Peer;
  readonly #context: SecureContext | undefined;
  readonly #over = Promise.withResolvers<Ended>();
  readonly #sockets: Socket[] = [];
  readonly #ms: LegTimes = {};
  readonly #timer: Timer;
  readonly #stopDial: () => void;
  #leg: DialLeg = 'dns';
  #since = systemClock.now();
  #answer = '';

  constructor(target: ProbeTarget, context: MakeContext | undefined, timeoutMs: number) {
    this.#target = target;
    // Made before the connection, because a slow machine takes longer than a relay waits for a ClientHello.
    this.#context = context?.();
    const {host, port, at = {host, port}, signal} = target;
    this.#peer = {kind: 'relay', label: `${host.includes(':') ? `[${host}]` : host}:${port}`};
    this.end = this.#over.promise;
    this.#timer = systemClock.after(Math.max(0, timeoutMs), () => this.#late(timeoutMs));
    signal?.addEventListener('abort', this.#abort, {once: true});
    this.#stopDial = dial({
      ...at,
      keepAlive: false,
      ...(target.resolve !== undefined && {resolve: target.resolve}),
      open: (address, to) => {
        if (this.#leg === 'dns') this.#passed('tcp');
        const socket = openSocket(address, to);
        target.onSocket?.(socket);
        return socket;
      },
      onOpen: (socket) => this.#opened(socket),
      onFailed: (error) => this.#fail(wordsOf(socketError(this.#peer, error).message)),
    });
    if (signal?.aborted) this.#abort();
  }

  readonly #abort = (): void => this.#fail('cancelled');

  #late(timeoutMs: number): void {
    this.#fail(`no answer within ${Math.round(timeoutMs / 100) / 10} s (${this.#peer.label})`);
  }

  #stop(): void {
    this.#timer.cancel();
    this.#target.signal?.removeEventListener('abort', this.#abort);
    this.#stopDial();
    for (const each of this.#sockets) each.on('error', () => {}).destroy();
  }

  #passed(next: DialLeg): void {
    const now = systemClock.now();
    this.#ms[this.#leg] = now - this.#since;
    this.#since = now;
    this.#leg = next;
  }

  #fail(reason: string, code = '', leg = this.#leg): void {
    this.#over.resolve({end: {ok: false, leg, reason, ms: this.#ms}, code});
    this.#stop();
  }

  #opened(socket: Socket): void {
    this.#sockets.push(socket);
    if (this.#context === undefined) {
      this.#passed('session');
      socket.on('error', (error) => this.#lost(error));
      this.#send(socket);
      return;
    }
    this.#passed('tls');
    socket.on('error', () => {});
    this.#secure(socket, this.#context);
  }

  #secure(raw: Socket, secureContext: SecureContext): void {
    const {host} = this.#target;
    const socket = tls.connect({
      socket: raw,
      host,
      servername: isIP(host) === 0 ? host.replace(/\.$/, '') : '',
      secureContext,
      rejectUnauthorized: true,
      ALPNProtocols: [PROBE_PROTOCOL],
    });
    this.#sockets.push(socket);
    socket.on('error', (error) => this.#refused(socket, error));
    socket.once('close', () => this.#lost(undefined));
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol !== PROBE_PROTOCOL) {
        this.#fail(`another server answers there (${this.#peer.label})`);
        return;
      }
      this.#passed('session');
      this.#send(socket);
    });
  }

  #send(socket: Socket): void {
    socket.on('data', (bytes: Buffer) => {
      this.#answer += bytes.toString('latin1', 0, PROBE_ANSWER.length);
      if (this.#answer.length < PROBE_ANSWER.length) return;
      if (this.#answer.slice(0, PROBE_ANSWER.length) !== PROBE_ANSWER.toString('latin1')) {
        this.#fail(`something else answers there (${this.#peer.label})`);
        return;
      }
      this.#passed('session');
      this.#over.resolve({end: {ok: true, ms: this.#ms}, code: ''});
      this.#stop();
    });
    socket.once('end', () => this.#lost(undefined));
    socket.write(this.#target.secret);
  }

  #refused(socket: TLSSocket, error: Error): void {
    const code = socket.authorizationError as unknown;
    const {host} = this.#target;
    if (typeof code === 'string') {
      const {message} = certificateError(this.#peer, {host, code, hasOwnCa: true}, error);
      this.#fail(wordsOf(message), code);
    } else if (/UNRECOGNIZED_NAME$/.test(systemCode(error)))
      this.#fail(`the relay there has no tunnel of this name (${this.#peer.label})`, '', 'session');
    else this.#lost(error);
  }

  #lost(error: Error | undefined): void {
    const reason =
      error === undefined ? `the connection was closed (${this.#peer.label})` : this.#wordsOf(error);
    this.#fail(reason, systemCode(error));
  }

  #wordsOf(error: Error): string {
    return wordsOf(socketError(this.#peer, error).message);
  }
}

/** A sentence as a part of another one. */
function wordsOf(sentence: string): string {
  return sentence.replace(/\.$/, '').replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}
