// Opens all connections of tunl: it tries all addresses of a host, the next one 250 ms after the previous one
// or when that has failed. It gives up none before the deadline, and uses the first that answers (RFC 8305).

import dns from 'node:dns';
import {connect, isIPv6, type NetConnectOpts, type Socket} from 'node:net';
import {systemCode, TunlError} from '../core/errors.js';
import {keepAlive} from './keep-alive.js';
import {knownAddresses} from './localhost.js';

/** RFC 8305's Connection Attempt Delay. */
const NEXT_ADDRESS_MS = 250;

/** Finds a name's addresses, the best first. */
export type Resolve = (
  host: string,
  done: (error: Error | null, addresses: readonly string[]) => void,
) => void;

export interface DialOptions {
  host: string;
  port: number;
  /** The deadline for everything, name look-up included, ms. Default: none; the caller cancels. */
  timeoutMs?: number;
  /** The address that answered last is tried first. */
  prefer?: string | undefined;
  /** The socket of one attempt, which connects already. Default: a plain one. */
  open?: (address: string, port: number) => Socket;
  resolve?: Resolve;
  /** The addresses of the host, when they are known: nothing is looked up. */
  addresses?: readonly string[];
  /** Addresses for which this is false are not tried. Default: all are. */
  accepts?: ((address: string) => boolean) | undefined;
  /** True: this attempt has failed for a reason of this machine, and `open` is called for the same address again. */
  again?: ((error: Error, address: string) => boolean) | undefined;
  /** False: the caller sets keepalive. Default true. */
  keepAlive?: boolean;
  /** Gets the connected socket, which has no listeners any more. */
  onOpen: (socket: Socket, address: string) => void;
  /**
   * Gets the most useful error when all addresses have failed. ETIMEDOUT: the deadline. ADDRESS_REFUSED: `accepts` allowed
   * none.
   */
  onFailed: (error: Error) => void;
}

/** Returns a function that ends the dial; no callback follows. No callback runs before this function has returned. */
export function dial(options: DialOptions): () => void {
  const dialling = new Dial(options);
  dialling.start();
  return () => dialling.end();
}

/** @throws TunlError ABORTED; or the error that `onFailed` gets */
export function dialUntil(
  signal: AbortSignal,
  options: Omit<DialOptions, 'onOpen' | 'onFailed'>,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new TunlError('ABORTED'));
    const settle = () => signal.removeEventListener('abort', abort);
    const stop = dial({
      ...options,
      onOpen: (socket) => {
        settle();
        resolve(socket);
      },
      onFailed: (error) => {
        settle();
        reject(error);
      },
    });
    const abort = () => {
      stop();
      reject(new TunlError('ABORTED'));
    };
    signal.addEventListener('abort', abort, {once: true});
  });
}

/** For `open`: a plain connection with `more` options. */
export function openSocket(address: string, port: number, more: Partial<NetConnectOpts> = {}): Socket {
  return connect({...more, host: address, port, noDelay: true} as NetConnectOpts);
}

class Dial {
  readonly #options: DialOptions;
  #left: string[] = [];
  /** Sockets that still connect. */
  #sockets: Socket[] = [];
  #failure: Error | undefined;
  #next: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #over = false;

  constructor(options: DialOptions) {
    this.#options = options;
  }

  start(): void {
    const {host, timeoutMs, resolve = resolveByDns} = this.#options;
    if (timeoutMs !== undefined) {
      const late = () => this.#fail(Object.assign(new Error('timeout'), {code: 'ETIMEDOUT'}));
      this.#deadline = setTimeout(late, timeoutMs);
      this.#deadline.unref();
    }
    const known = this.#options.addresses ?? knownAddresses(host);
    if (known !== undefined) this.#try(known);
    else
      resolve(host, (error, addresses) => {
        if (this.#over) return;
        if (error !== null) this.#fail(error);
        else this.#try(addresses);
      });
  }

  /** Destroys the sockets that still connect. Idempotent. */
  end(): void {
    this.#over = true;
    clearTimeout(this.#next);
    clearTimeout(this.#deadline);
    const sockets = this.#sockets;
    this.#sockets = [];
    for (const socket of sockets) socket.destroy();
  }

  #try(found: readonly string[]): void {
    const {accepts, prefer} = this.#options;
    this.#left = inOrder(accepts === undefined ? found : found.filter(accepts), prefer);
    if (this.#left.length > 0) this.#tryNext();
    else if (found.length > 0)
      this.#fail(Object.assign(new Error('no address is accepted'), {code: 'ADDRESS_REFUSED'}));
    else this.#fail(Object.assign(new Error('no address'), {code: 'ENOTFOUND', syscall: 'getaddrinfo'}));
  }

  #tryNext(): void {
    clearTimeout(this.#next);
    const address = this.#left.shift();
    if (address === undefined) return;
    this.#attempt(address);
    if (this.#left.length === 0) return;
    this.#next = setTimeout(() => this.#tryNext(), NEXT_ADDRESS_MS);
    this.#next.unref();
  }

  #attempt(address: string): void {
    const {port, open = openSocket, again} = this.#options;
    const socket = open(address, port);
    this.#sockets.push(socket);
    const failed = (error: Error) => {
      if (!this.#sockets.includes(socket)) return;
      if (again?.(error, address) === true) {
        this.#drop(socket);
        socket.destroy();
        this.#attempt(address);
      } else this.#lost(socket, error);
    };
    socket.on('error', failed);
    socket.once('connect', () => {
      if (!this.#sockets.includes(socket)) return;
      socket.off('error', failed);
      this.#won(socket, address);
    });
  }

  #won(socket: Socket, address: string): void {
    this.#drop(socket);
    this.end();
    if (this.#options.keepAlive ?? true) keepAlive(socket);
    this.#options.onOpen(socket, address);
  }

  #lost(socket: Socket, error: Error): void {
    this.#drop(socket);
    socket.destroy();
    this.#failure = moreTelling(this.#failure, error);
    if (this.#left.length > 0) this.#tryNext();
    else if (this.#sockets.length === 0) this.#fail(error);
  }

  #drop(socket: Socket): void {
    this.#sockets = this.#sockets.filter((each) => each !== socket);
  }

  #fail(error: Error): void {
    this.end();
    this.#options.onFailed(moreTelling(this.#failure, error));
  }
}

const resolveByDns: Resolve = (host, done) => {
  // Node does the same: it requests no addresses of a family that this machine does not have.
  dns.lookup(host, {all: true, hints: dns.ADDRCONFIG}, (error, found) => {
    done(
      error,
      found?.map(({address}) => address),
    );
  });
};

/** The families alternate, beginning with that of the first address; `prefer` comes before all others. */
export function inOrder(addresses: readonly string[], prefer?: string): string[] {
  // This is the case for most hosts: the loop over all would cost more than the connection itself.
  if (addresses.length < 3) {
    const [a, b] = addresses;
    if (a === undefined || b === undefined || b === a) return addresses.slice(0, 1);
    return b === prefer ? [b, a] : [a, b];
  }
  const all = new Set(addresses);
  const first = prefer !== undefined && all.has(prefer) ? prefer : addresses[0];
  if (first === undefined) return [];
  all.delete(first);
  const same = [...all].filter((each) => isIPv6(each) === isIPv6(first));
  const others = [...all].filter((each) => isIPv6(each) !== isIPv6(first));
  const turns = Array.from({length: Math.max(same.length, others.length)}, (_, i) => [others[i], same[i]]);
  return [first, ...turns.flat().filter((each) => each !== undefined)];
}

/** The order of errors: an answer of the host is more useful than silence, and silence more than an error of this machine. */
const TELLING = ['ECONNRESET', 'ECONNREFUSED', 'EACCES', 'EPERM', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'];

function moreTelling(before: Error | undefined, error: Error): Error {
  return before !== undefined && rank(before) <= rank(error) ? before : error;
}

function rank(error: Error): number {
  const at = TELLING.indexOf(systemCode(error));
  return at < 0 ? TELLING.length : at;
}
