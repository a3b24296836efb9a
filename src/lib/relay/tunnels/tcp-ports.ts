// The relay's ports for TCP tunnels: the offered range, and one listener for each port in use.

import {createServer, type Server, type Socket} from 'node:net';
import {systemCode, TunlError} from '../../core/errors.js';
import {randomInt} from '../../core/node-crypto.js';
import {BACKLOG} from '../doors/listen.js';

/** Errors when visitors have used up descriptors or memory for sockets. */
const SHORTAGES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

export type PortRange = readonly [first: number, last: number];

/** When the system chooses, agents may ask for these. */
const ANY_PORTS: PortRange = [1024, 65_535];

export interface TcpPortsOptions {
  /** Both included; `[0, 0]`: any port of the system; undefined: none. */
  range: PortRange | undefined;
  host: string;
  /** Another process may listen on the same ports: the next relay, while this one still drains. */
  reusePort: boolean;
}

export class TcpPorts {
  /** Takes a connection just accepted. */
  onVisitor: (socket: Socket, port: number) => void = (socket) => void socket.destroy();
  readonly #options: TcpPortsOptions;
  readonly #servers = new Map<number, Server>();
  /** Each port listens as long as it has holders: binds in progress, tunnels, waiting visitors. */
  readonly #holders = new Map<number, Set<object>>();
  #over = false;
  /** Not listening yet: with `reusePort` a second listener would succeed, and belong to nobody. */
  readonly #opening = new Map<number, Promise<number | undefined>>();

  constructor(options: TcpPortsOptions) {
    this.#options = options;
  }

  get offered(): boolean {
    return this.#options.range !== undefined;
  }

  get label(): string {
    const [first, last] = this.#options.range ?? [0, 0];
    return last === 0 ? 'of any number' : `${first}–${last}`;
  }

  includes(port: number): boolean {
    const {range} = this.#options;
    if (range === undefined || !Number.isInteger(port)) return false;
    const [first, last] = range[1] === 0 ? ANY_PORTS : range;
    return port >= first && port <= last;
  }

  /**
   * Ports to try, in random order: first some random ones, then, in small ranges, all of them. 0: the system chooses.
   *
   * @param allowed only ports of these ranges. Default: all.
   */
  *candidates(tries: number, allowed?: readonly PortRange[]): Generator<number> {
    const {range} = this.#options;
    if (range === undefined) return;
    const isAny = range[1] === 0;
    if (isAny && allowed === undefined) {
      for (let count = 0; count < tries; count += 1) yield 0;
      return;
    }
    const all = isAny ? ANY_PORTS : range;
    const ranges = (allowed ?? [all]).flatMap((each) => overlap(each, all));
    const size = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    if (size === 0) return;
    for (let count = 0; count < tries; count += 1) yield nth(ranges, randomInt(size));
    const offset = randomInt(size);
    for (let step = 0; step < size; step += 1) yield nth(ranges, (offset + step) % size);
  }

  /**
   * Listens on `port` (0: any) until its last holder has released it. Undefined: another program has it, or this user may not
   * use it.
   *
   * @throws TunlError RELAY_BUSY when this machine has no room for a listener now, or the relay ends: that says nothing about
   * the port.
   */
  async open(port: number, holder: object): Promise<number | undefined> {
    if (this.#over) throw leaving();
    if (port === 0) {
      const opened = await this.#listen(port);
      if (opened !== undefined) this.hold(opened, holder);
      return opened;
    }
    this.hold(port, holder);
    let opened: number | undefined;
    try {
      opened = await this.#listenOnce(port);
    } finally {
      if (opened === undefined) this.close(port, holder);
    }
    // The last holder has released it before it was open.
    if (opened !== undefined && !this.#holders.has(port)) this.#end(port);
    return opened;
  }

  /** The port is open for another holder and now stays open for this one, too. */
  hold(port: number, holder: object): void {
    const holders = this.#holders.get(port);
    if (holders === undefined) this.#holders.set(port, new Set([holder]));
    else holders.add(holder);
  }

  #listenOnce(port: number): Promise<number | undefined> {
    if (this.#servers.has(port)) return Promise.resolve(port);
    let opening = this.#opening.get(port);
    if (opening === undefined) {
      opening = this.#listen(port).finally(() => this.#opening.delete(port));
      this.#opening.set(port, opening);
    }
    return opening;
  }

  #listen(port: number): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      // Known before the first visitor, and without a system call for each.
      let actual = port;
      const server = createServer({allowHalfOpen: true, noDelay: true}, (socket) => {
        this.onVisitor(socket, actual);
      });
      // This listener stays: running out of descriptors later is an error event too, and must not end the process.
      server.on('error', (error) => {
        if (SHORTAGES.has(systemCode(error))) reject(new TunlError('RELAY_BUSY', {cause: error}));
        else resolve(undefined);
      });
      server.listen(
        {
          port,
          host: this.#options.host,
          backlog: BACKLOG,
          reusePort: this.#options.reusePort && port !== 0,
        },
        () => {
          if (this.#over) {
            server.close();
            reject(leaving());
            return;
          }
          actual = portOf(server);
          this.#servers.set(actual, server);
          resolve(actual);
        },
      );
    });
  }

  /** The holder no longer needs the port. Without holders new visitors are refused; open connections stay. */
  close(port: number, holder: object): void {
    const holders = this.#holders.get(port);
    if (holders?.delete(holder) !== true || holders.size > 0) return;
    this.#holders.delete(port);
    this.#end(port);
  }

  /** Closes all ports for ever, with or without holders. */
  closeAll(): void {
    this.#over = true;
    this.#holders.clear();
    for (const port of [...this.#servers.keys()]) this.#end(port);
  }

  #end(port: number): void {
    this.#servers.get(port)?.close();
    this.#servers.delete(port);
  }
}

function overlap(a: PortRange, b: PortRange): PortRange[] {
  const first = Math.max(a[0], b[0]);
  const last = Math.min(a[1], b[1]);
  return first <= last ? [[first, last]] : [];
}

/** The port at this place of all ranges together. */
function nth(ranges: readonly PortRange[], place: number): number {
  let left = place;
  for (const [first, last] of ranges) {
    const size = last - first + 1;
    if (left < size) return first + left;
    left -= size;
  }
  throw new RangeError('beyond the ranges');
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const leaving = (): TunlError => new TunlError('RELAY_BUSY', {reason: 'The relay is shutting down.'});
