// Notices that a tunnel's upstream is its own public port: each visitor would make the agent dial the next one, without end.

import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {formatHostPort} from '../protocol/targets.js';

/**
 * A visitor from the same socket with which the agent dialled its upstream is such a loop. Sockets are only compared when the
 * upstream has the number of the public port. So in all other tunnels this costs nothing, and a visitor from this machine
 * with the same port by chance is no loop.
 */
export class LoopGuard {
  /** The public TCP port, if there is one. */
  publicPort: number | undefined;
  readonly #dialled = new Set<string>();
  readonly #visitors = new Set<string>();

  /** True: the visitor is this agent. Otherwise it counts as open until `left`. */
  visited(upstreamPort: number | undefined, from: string): boolean {
    if (upstreamPort === undefined || upstreamPort !== this.publicPort) return false;
    if (this.#dialled.has(from)) return true;
    this.#visitors.add(from);
    return false;
  }

  left(from: string): void {
    if (this.#visitors.size > 0) this.#visitors.delete(from);
  }

  /** True: a visitor has already come from the dialled socket. */
  dialled(upstreamPort: number | undefined, socket: Duplex): boolean {
    if (upstreamPort === undefined || upstreamPort !== this.publicPort) return false;
    const {localAddress, localPort} = socket as Partial<Socket>;
    if (localAddress === undefined || localPort === undefined) return false;
    const own = formatHostPort(localAddress, localPort);
    this.#dialled.add(own);
    socket.once('close', () => this.#dialled.delete(own));
    return this.#visitors.has(own);
  }
}
