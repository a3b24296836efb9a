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
  /** Open connections now. */
  readonly connections: number;
  /** Takes no more connections, and resets the open ones. Idempotent. */
  close(): Promise<void>;
}

export class LocalPort implements EgressPort {
  readonly host: string;
  readonly port: number;
  readonly #server: Server;
  readonly #open: Map<Socket, () => void>;

  private constructor(server: Server, at: HostPort, open: Map<Socket, () => void>) {
    this.#server = server;
    this.host = at.host;
    this.port = at.port;
    this.#open = open;
  }

  /**
   * @param serve takes each connection until it resolves; a socket that is open then is reset. `held` takes a function that
   * ends the connection in place of a plain reset.
   * @throws TunlError LISTEN_*
   */
  static async open(
    server: Server,
    at: HostPort,
    serve: (socket: Socket, held: (cut: () => void) => void) => Promise<void>,
  ): Promise<LocalPort> {
    const open = new Map<Socket, () => void>();
    server.on('connection', (socket: Socket) => {
      // A client that goes must not end the process.
      socket.on('error', () => {});
      if (open.size >= MOST_OPEN) {
        socket.resetAndDestroy();
        return;
      }
      open.set(socket, () => resetSocket(socket));
      socket.once('close', () => open.delete(socket));
      void serve(socket, (cut) => open.has(socket) && open.set(socket, cut));
    });
    return new LocalPort(server, await listenOn(server, at, false), open);
  }

  get address(): string {
    return formatHostPort(this.host, this.port);
  }

  get connections(): number {
    return this.#open.size;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const cut of [...this.#open.values()]) cut();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
