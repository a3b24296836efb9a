// Connections that this process makes to its own public side: at the other end they are known by their address and port.

import type {Socket} from 'node:net';

export class OwnDials {
  readonly #open = new Set<string>();

  /** A socket that begins to connect. The other end may accept it before this end sees the connection. */
  add(socket: Socket): void {
    // Node connects in its own next tick, which comes before this one.
    process.nextTick(() => {
      const {localAddress, localPort} = socket;
      if (socket.destroyed || localAddress === undefined || localPort === undefined) return;
      const key = keyOf(localAddress.replace(/^::ffff:(?=\d+\.)/i, ''), localPort);
      this.#open.add(key);
      socket.once('close', () => this.#open.delete(key));
    });
  }

  /** Whether this process has made the connection that was just accepted. */
  has(address: string, port: number): boolean {
    return this.#open.size > 0 && this.#open.has(keyOf(address, port));
  }
}

const keyOf = (address: string, port: number): string => `${address} ${port}`;
