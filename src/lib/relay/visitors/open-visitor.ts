// One open visitor, and what it holds of the relay's limits until it leaves.

import type {Socket} from 'node:net';
import {resetSocket} from '../../bytes/reset.js';
import type {Splice, SpliceOptions} from '../../bytes/splice.js';
import type {UnreadHandle} from '../../bytes/unread-limit.js';
import type {ListNode} from '../../core/linked-list.js';
import type {Stream} from '../../mux/stream.js';
import type {KeepAlive} from '../../net/keep-alive.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {Peer} from '../doors/peer.js';
import type {Watched, WatchedVisitor} from '../doors/visitor-watch.js';
import type {Bandwidth} from '../limits/bandwidth.js';
import type {Entered} from '../limits/visitor-limits.js';
import type {Tunnel} from '../tunnels/tunnel-table.js';

export interface Visitor {
  /** The socket for reading and writing: the TCP socket, or TLS on top of it. */
  socket: Socket;
  /** The TCP socket itself: only it can be reset. */
  raw: Socket;
  peer: Peer;
  via: 'tls' | 'tcp';
  alpn: string | undefined;
  /** Called when the visitor leaves at once without a byte: it may not trust the certificate. */
  onLeftAtOnce?: (() => void) | undefined;
}

/** The memory of an idle visitor in this process: measured, rounded up. */
const IDLE_BYTES = {tcp: 8 * 1024, tls: 64 * 1024} as const;

export interface OpenVisitorOptions {
  visitor: Visitor;
  tunnel: Tunnel;
  stream: Stream;
  isProbe: boolean;
  entered: Entered;
  bandwidth: Bandwidth | undefined;
  keepAlive: KeepAlive;
  onSocketOver: (() => void) | undefined;
  onOver: (visitor: OpenVisitor) => void;
}

/** It is also the options of its own splice, so that short visitors leave fewer objects behind. */
export class OpenVisitor implements WatchedVisitor, SpliceOptions {
  readonly stream: Stream;
  readonly tunnel: Tunnel;
  readonly peer: Peer;
  /** Reaches no upstream, so it is not counted. */
  readonly isProbe: boolean;
  readonly idleBytes: number;
  readonly entered: Entered;
  readonly bandwidth: Bandwidth | undefined;
  readonly brokenCode = 'VISITOR_RESET';
  readonly onSocketOver: (() => void) | undefined;
  splice: Splice | undefined;
  unread: UnreadHandle | undefined;
  watched: Watched | undefined;
  ofTunnel: ListNode<OpenVisitor> | undefined;
  readonly #socket: Socket;
  readonly #raw: Socket;
  readonly #keepAlive: KeepAlive;
  readonly #alive: ListNode<Socket>;
  readonly #onOver: (visitor: OpenVisitor) => void;

  constructor(options: OpenVisitorOptions) {
    const {visitor, keepAlive} = options;
    this.stream = options.stream;
    this.tunnel = options.tunnel;
    this.peer = visitor.peer;
    this.isProbe = options.isProbe;
    this.idleBytes = IDLE_BYTES[visitor.via];
    this.entered = options.entered;
    this.bandwidth = options.bandwidth;
    this.onSocketOver = options.onSocketOver;
    this.#socket = visitor.socket;
    this.#raw = visitor.raw;
    this.#keepAlive = keepAlive;
    this.#alive = keepAlive.add(visitor.raw);
    this.#onOver = options.onOver;
  }

  cut(code: StreamCode = 'TOO_MUCH_UNREAD'): void {
    this.splice?.cut(code);
  }

  // ── For the splice ──

  reset(): void {
    resetSocket(this.#socket, this.#raw);
  }

  onDone(): void {
    this.#keepAlive.delete(this.#alive);
    this.bandwidth?.release();
    this.#onOver(this);
  }
}
