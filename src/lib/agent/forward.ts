// `forward`: one call from a local port to a public address.

import {TunlError} from '../core/errors.js';
import type {ReadyEvent} from './events.js';
import type {ForwardOptions, SocketAddress} from './options.js';

/** A local port with a public address. Ends with `close()`, `destroy()`, its AbortSignal, or the scope of `await using`. */
export interface Tunnel extends AsyncDisposable {
  /** `https://host`, with `:port` only when it is not 443. */
  readonly url: string;
  /** Host and port of the TLS side. */
  readonly tlsSocket: SocketAddress;
  /** Host and port of the TCP side. Throws NO_TCP_SOCKET for a tunnel without one. */
  readonly tcpSocket: SocketAddress;
  /** What the `ready` event said. */
  readonly ready: ReadyEvent;
  /** Open visitor connections now. */
  readonly connections: number;
  /** Resolves after an orderly end; rejects with the TunlError that ended the tunnel for good. */
  readonly closed: Promise<void>;
  /** No new visitors; open ones may finish for `drainTimeoutMs` (default: that of `forward`), then the end. Idempotent. */
  close(options?: {drainTimeoutMs?: number}): Promise<void>;
  /** The end at once: open connections are reset. Idempotent. */
  destroy(error?: Error): void;
}

/**
 * Gives a local port a public address and resolves when visitors can connect. Does not wait for anything to listen on the port.
 *
 * @param port the upstream's port, 1 to 65535.
 * @throws TunlError PORT_INVALID, PORT_RANGE, H2_WITH_TCP, PORT_FORWARDED_TWICE, or the relay's reason.
 */
export async function forward(port: number, options: ForwardOptions = {}): Promise<Tunnel> {
  throw new TunlError('UNEXPECTED', {reason: `forward ${port} ${options.host ?? ''} comes with the agent`});
}
