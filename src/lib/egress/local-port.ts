// A port of this machine in front of an egress: it holds its connections, bounds their number, and ends them with itself.

import type {Server, Socket} from 'node:net';
import {resetSocket} from '../bytes/reset.js';
import {formatHostPort, type HostPort} from '../protocol/targets.js';
import {listenOn} from '../relay/doors/listen.js';

/** Open connections of one port. */
const MOST_OPEN = 4_096;

/** A port of this machine whose connections leave by an egress. */
export interface EgressPort extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly address: string;
  /** Open connections now, and all so far. */
  readonly connections: number;
  readonly served: number;
  /** Takes no more connections, and resets the open ones. Idempotent. */
  close(): Promise<void>;
}

interface Held {
  /** With the function that ends each. */
  readonly open: Map<Socket, () => void>;
  served: number;
}

export class LocalPort implements EgressPort {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #held: Held;

  private constructor(server: Server, at: HostPort, held: Held) {
    this.#server = server;
    this.host = at.host;
    this.port = at.port;
    this.#held = held;
  }

  /**
   * @param serve takes each connection. It may give a function that ends the connection in place of a plain reset.
   * @throws TunlError LISTEN_*
   */
  static async open(
    server: Server,
    at: HostPort,
    serve: (socket: Socket, held: (cut: () => void) => void) => Promise<void>,
  ): Promise<LocalPort> {
    const held: Held = {open: new Map(), served: 0};
    const {open} = held;
    server.on('connection', (socket: Socket) => {
      // A client that goes must not end the process.
      socket.on('error', () => {});
      if (open.size >= MOST_OPEN) {
        socket.resetAndDestroy();
        return;
      }
      held.served += 1;
      open.set(socket, () => resetSocket(socket));
      socket.once('close', () => open.delete(socket));
      void serve(socket, (cut) => open.has(socket) && open.set(socket, cut));
    });
    return new LocalPort(server, await listenOn(server, at, false), held);
  }

  get address(): string {
    return formatHostPort(this.host, this.port);
  }

  get served(): number {
    return this.#held.served;
  }

  get connections(): number {
    return this.#held.open.size;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const cut of [...this.#held.open.values()]) cut();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
