// Finds out that a tunnel's upstream is its own public port: each visitor would make the agent dial the next one, without end.

import type {Socket} from 'node:net';
import {formatHostPort} from '../protocol/targets.js';

/**
 * A visitor that comes from the very socket with which the agent dialled its upstream is such a loop. Sockets are only
 * compared where the upstream has the number of the public port: in every other tunnel this costs nothing, and a visitor of
 * this machine whose port happens to be the same cannot be mistaken.
 */
export class LoopGuard {
  /** The public TCP port; undefined: there is none. */
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
    this.#visitors.delete(from);
  }

  /** True: what was dialled has come in as a visitor already. */
  dialled(upstreamPort: number | undefined, socket: Socket): boolean {
    if (upstreamPort === undefined || upstreamPort !== this.publicPort) return false;
    const {localAddress, localPort} = socket;
    if (localAddress === undefined || localPort === undefined) return false;
    const own = formatHostPort(localAddress, localPort);
    this.#dialled.add(own);
    socket.once('close', () => this.#dialled.delete(own));
    return this.#visitors.has(own);
  }
}
