// The exposed service. It is dialled once for each visitor: a TCP port, a Unix socket, a TLS server.

import type {Duplex} from 'node:stream';
import type {SocketRead} from '../../bytes/socket-reads.js';
import type {TunlError} from '../../core/errors.js';
import type {VisitorOpen} from '../../protocol/control-messages.js';

/** The limit for one dial, ms: a service on this machine or its network answers sooner, and a visitor does not wait longer. */
export const DIAL_TIMEOUT_MS = 10_000;
/** The limit for a dial that only checks whether something answers, ms. */
export const PROBE_TIMEOUT_MS = 5_000;

/** The answer of the kernel's tables. `unknown`: the tables have no answer. */
export type ListenState = 'listening' | 'nobody' | 'unknown';

/** A connection to the upstream, made with allowHalfOpen, without a listener. */
export interface UpstreamConnection {
  /** A socket of this machine, or a Duplex with its `_read` on its prototype: see bytes/reading.ts. */
  socket: Duplex;
  /** How it is read: by the `onread` from `reader`, or by its `data` events. */
  reads: 'onread' | 'events';
  /** Ends it so that the upstream sees a reset, if this kind of connection has one. */
  reset(): void;
  /** True: a gate answers here. The upstream itself is dialled later, if the visitor may come in. */
  isGate?: true;
}

/** The facts about a visitor that the relay sends. */
export type VisitorFacts = Readonly<Pick<VisitorOpen, 'via' | 'address' | 'port' | 'alpn'>>;

/** A dial for one visitor. */
export interface UpstreamDial {
  /** Undefined for a dial without a visitor of the relay. */
  visitor?: VisitorFacts | undefined;
  /** The protocol that ALPN has chosen with the visitor, if any. */
  alpn?: string | undefined;
  /** Bytes that go first on the dialled socket, also before TLS. */
  preface?: Buffer | undefined;
  /** Makes the `onread` of one socket. Absent: the caller reads by `data` events. */
  reader?(): SocketRead;
  onOpen(connection: UpstreamConnection): void;
  /** Gets a TunlError if more is known than the system's code. */
  onFailed(error: Error): void;
  /** The upstream ended an open connection and gave a reason. */
  onComplaint?(error: TunlError): void;
  /** A gate has dialled the upstream. `error`: the reason why it does not answer. */
  onGateDialled?(error: Error | undefined): void;
  /** The upstream ended a gate's request in this protocol without an answer, or answered what is none. */
  onGateUnanswered?(protocol: 'h2' | 'http/1.1'): void;
}

export interface Upstream {
  /** The name for people: `localhost:8000`, `unix:/run/app.sock`, `https://localhost:8443`, `/home/me/site/`. */
  readonly label: string;
  /** The dialled TCP port, if any. */
  readonly port?: number;
  /** Returns a function that cancels the dial silently. No callback comes before it has returned. */
  dial(visitor: UpstreamDial): () => void;
  /** The state that this machine knows without a connection. */
  listenState(): Promise<ListenState>;
  /**
   * Makes a connection and closes it at once. Resolves to undefined when the upstream answers, else to the reason.
   *
   * @param preface as for a dial.
   */
  probe(preface?: Buffer): Promise<Error | undefined>;
  /** Whether it answers a TLS handshake, for an upstream that was given without TLS. Makes a connection. */
  speaksTls?(preface?: Buffer): Promise<boolean>;
  /** Ends the server of the upstream, if it is a part of this agent. */
  close?(): Promise<void>;
}
