// Ports of this machine, each for one tunnel: `https://localhost:PORT` works in programs whose resolver does not know names
// below `.localhost`, and `https://ADDRESS:PORT` on phones in the same network. No agent can log in there.

import {createServer, type Server, type Socket} from 'node:net';
import {TunlError} from '../../core/errors.js';
import {LOCAL_HOST} from '../../core/localhost.js';
import type {Logger} from '../../core/logger.js';
import {isFromThisUser, knowsPeerUsers} from '../../core/peer-user.js';
import type {HostPort} from '../../protocol/targets.js';
import type {Part} from '../part.js';
import {listenOn} from './listen.js';

export interface LocalDoorsOptions {
  /** Takes a connection for the only tunnel of its port. */
  accept: (raw: Socket, only: OnlyTunnel) => void;
  log: Logger;
}

export interface LocalDoor {
  readonly at: HostPort;
  close(): void;
}

/** The tunnel of a port that has only one. */
export interface OnlyTunnel {
  label: string;
  /** The host in its address: visitors who send no name get the certificate of this one. */
  host: string;
  /** Another name of this machine that visitors may use. */
  alias?: string | undefined;
}

export interface LocalDoorRequest {
  label: string;
  /** An address of this machine in the local network, and its name there. Default: loopback. */
  lan?: {address: string; name: string | undefined} | undefined;
  /** To try in this order, before any free one. */
  ports: readonly number[];
  /** Only this user and root may connect. */
  isPrivate: boolean;
}

/** Connections whose user is being looked up; more than a page opens. */
const MOST_CHECKS = 32;
/** Free ports of the system to try: another program may have the same one on ::1. */
const FREE_TRIES = 4;

export class LocalDoors implements Part {
  readonly #options: LocalDoorsOptions;
  readonly #servers = new Set<Server>();
  #checks = 0;

  constructor(options: LocalDoorsOptions) {
    this.#options = options;
  }

  /** Undefined: there is none, and the tunnel has its name only. @throws TunlError LISTEN_FAILED for the local network. */
  async open(request: LocalDoorRequest): Promise<LocalDoor | undefined> {
    if (request.isPrivate && !(await knowsPeerUsers())) return undefined;
    for (const port of [...request.ports, ...Array<number>(FREE_TRIES).fill(0)]) {
      try {
        return await this.#listen(request, port);
      } catch (error) {
        if (error instanceof TunlError && error.code === 'LISTEN_IN_USE') continue;
        if (request.lan !== undefined) throw error;
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
  async #listen(request: LocalDoorRequest, port: number): Promise<LocalDoor> {
    if (request.lan !== undefined) {
      const server = this.#server(request);
      const at = await listenOn(server, {host: request.lan.address, port}, false);
      return {at, close: () => this.#end(server)};
    }
    const four = this.#server(request);
    const at = await listenOn(four, {host: '127.0.0.1', port}, false);
    const six = this.#server(request);
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

  #server({label, isPrivate, lan}: LocalDoorRequest): Server {
    const only: OnlyTunnel =
      lan === undefined ? {label, host: LOCAL_HOST} : {label, host: lan.address, alias: lan.name};
    const server = createServer({allowHalfOpen: true, noDelay: true}, (raw) => {
      if (isPrivate) void this.#check(raw, only);
      else this.#options.accept(raw, only);
    });
    this.#servers.add(server);
    return server;
  }

  /** The socket is not read before its user is known. */
  async #check(raw: Socket, only: OnlyTunnel): Promise<void> {
    raw.on('error', ignore);
    const {remotePort: from = 0, localPort: to = 0} = raw;
    this.#checks += 1;
    const isFine = this.#checks <= MOST_CHECKS && (await isFromThisUser({from, to}));
    this.#checks -= 1;
    if (raw.destroyed) return;
    if (!isFine) {
      this.#options.log.debug('a local port is for its own user only', {label: only.label});
      raw.resetAndDestroy();
      return;
    }
    raw.off('error', ignore);
    this.#options.accept(raw, only);
  }

  #end(server: Server): void {
    this.#servers.delete(server);
    server.close();
  }
}

const ignore = (): void => {};
