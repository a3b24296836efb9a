// Ports of this machine, each for one tunnel: `https://localhost:PORT` works in programs whose resolver does not know names
// below `.localhost`.

import {createServer, type Server, type Socket} from 'node:net';
import {TunlError} from '../../core/errors.js';
import {LOCAL_HOST} from '../../core/localhost.js';
import type {Logger} from '../../core/logger.js';
import type {HostPort} from '../../protocol/targets.js';
import type {Part} from '../part.js';
import {listenOn} from './listen.js';

export interface LocalDoorsOptions {
  /** Takes a connection for the tunnel with this label. */
  accept: (raw: Socket, label: string) => void;
  log: Logger;
}

export interface LocalDoor {
  readonly at: HostPort;
  close(): void;
}

/** Free ports of the system to try: another program may have the same one on ::1. */
const FREE_TRIES = 4;

export class LocalDoors implements Part {
  readonly #options: LocalDoorsOptions;
  readonly #servers = new Set<Server>();

  constructor(options: LocalDoorsOptions) {
    this.#options = options;
  }

  /** @param ports to try in this order, before any free one. Undefined: there is none, and the tunnel has its name only. */
  async open(label: string, ports: readonly number[]): Promise<LocalDoor | undefined> {
    for (const port of [...ports, ...Array<number>(FREE_TRIES).fill(0)]) {
      try {
        return await this.#listen(label, port);
      } catch (error) {
        if (error instanceof TunlError && error.code === 'LISTEN_IN_USE') continue;
        this.#options.log.warn('no local port for a tunnel', {reason: String(error)});
        return undefined;
      }
    }
    return undefined;
  }

  drain(): void {
    this.close();
  }

  close(): void {
    for (const server of this.#servers) this.#end(server);
  }

  /** `localhost` is both addresses, and programs differ in the one that they try first. */
  async #listen(label: string, port: number): Promise<LocalDoor> {
    const four = this.#server(label);
    const at = await listenOn(four, {host: '127.0.0.1', port}, false);
    const six = this.#server(label);
    const close = () => {
      this.#end(four);
      this.#end(six);
    };
    try {
      await listenOn(six, {host: '::1', port: at.port}, false);
    } catch (error) {
      // A machine without IPv6 has no ::1, so nobody else can be there.
      if (!(error instanceof TunlError) || error.code === 'LISTEN_IN_USE') {
        close();
        throw error;
      }
    }
    return {at: {host: LOCAL_HOST, port: at.port}, close};
  }

  #server(label: string): Server {
    const server = createServer({allowHalfOpen: true, noDelay: true}, (raw) =>
      this.#options.accept(raw, label),
    );
    this.#servers.add(server);
    return server;
  }

  #end(server: Server): void {
    this.#servers.delete(server);
    server.close();
  }
}
