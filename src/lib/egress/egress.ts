// The library's egress: connections, ports and proxies of this machine that leave by addresses of a relay.

import type {Duplex} from 'node:stream';
import type {LinkEvent} from '../agent/events.js';
import type {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import {Owned} from '../core/owned.js';
import {type ConnectionOptions, openLink, type RelayLink} from '../open-link.js';
import type {SealedExit} from '../seal/run-sealed.js';
import {addressesOf, checkEgressName, EgressClient} from './client.js';
import {type ForwardedPort, forwardPort, readForward} from './forward.js';
import type {EgressPort} from './local-port.js';
import {openProxy, type ProxyPort} from './proxy/proxy-port.js';
import type {EgressRunOptions} from './run.js';

export interface EgressOptions extends ConnectionOptions {
  /** Spread connections over all addresses of the egress. Default false: a destination always sees the same address. */
  spread?: boolean;
  /** Before there is a link `egress` rejects with ABORTED, later it ends like `close()`. */
  signal?: AbortSignal;
  /** `reconnecting`, `resumed` and `notice`, as those of a tunnel, and `failed`. Must not throw. */
  onEvent?: (event: EgressEvent) => void;
  log?: LogSink;
}

/** A connection of a port was not made. The client of the port has got an answer in its own protocol, or a reset. */
export interface EgressFailedEvent {
  type: 'failed';
  /** `host:port`. */
  destination: string;
  code: TunlError['code'];
  reason: string;
  next: string;
}

export type EgressEvent = LinkEvent | EgressFailedEvent;

export interface ProxyOptions {
  /** The address of this machine. Default 127.0.0.1. */
  host?: string;
  /** Default 0: a free port. */
  port?: number;
  /** False: everybody who reaches the port may use the egress. Default true: a secret of this run. */
  auth?: boolean;
}

/** An egress of a relay. Ends with `close()`, its AbortSignal, or the scope of `await using`. */
export interface Egress extends AsyncDisposable {
  readonly name: string;
  /** The addresses that destinations may see, as the relay had them at the start. */
  readonly addresses: readonly string[];
  /** The relay's URL. */
  readonly relay: string;
  /** Connections that its ports have taken so far. */
  readonly served: number;
  /** Settles when it has ended; rejects with the TunlError that ended it for good. */
  readonly closed: Promise<void>;
  /**
   * A connection from an address of the egress. Half-closes pass through; a lost link does not end it while the relay keeps the
   * session. Rejects with EGRESS_FORBIDDEN, EGRESS_UNREACHABLE, NOT_ALLOWED, or the reason why there is no link.
   */
  connect(to: {host: string; port: number}, options?: {signal?: AbortSignal}): Promise<Duplex>;
  /** The addresses of a name as the relay sees them. */
  resolve(name: string, options?: {signal?: AbortSignal}): Promise<string[]>;
  /** A port of this machine that is a proxy for HTTP and SOCKS 5. */
  listen(options?: ProxyOptions): Promise<ProxyPort>;
  /** A port of this machine that leads to `HOST:PORT`; `LOCAL:HOST:PORT` chooses the port, on loopback. */
  forward(destination: string): Promise<ForwardedPort>;
  /**
   * Runs a command in a sealed network (Linux): all its connections leave by the egress, whatever it knows about proxies. Resolves
   * at its end. Rejects with SEAL_UNAVAILABLE, SEAL_LOST, PROGRAM_MISSING, FOLDER_MISSING or ABORTED.
   */
  run(argv: readonly string[], options?: EgressRunOptions): Promise<SealedExit>;
  /** Ends its ports, resets open connections, and ends the link. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens an egress of a relay: connections of this machine that destinations see from fixed addresses of the relay.
 *
 * @param name of the egress, as the operator of the relay has chosen it.
 * @throws TunlError RELAY_NEEDED, EGRESS_UNKNOWN, RELAY_LACKS_FEATURE, NOT_ALLOWED, OPTION_INVALID, ABORTED, or the reason why
 * there is no link (RELAY_*, TOKEN_*, PROXY_FAILED).
 */
export async function egress(name: string, options: EgressOptions = {}): Promise<Egress> {
  const {spread, signal, onEvent, log, ...connection} = options;
  checkEgressName(name);
  const link = await openLink({...connection, signal, onEvent, log});
  try {
    const client = new EgressClient(link, {egress: name, ...(spread !== undefined && {spread})});
    return new OpenEgress(link, client, {addresses: await addressesOf(link, name, signal), onEvent});
  } catch (error) {
    await link.close();
    throw error;
  }
}

interface About {
  addresses: readonly string[];
  onEvent: ((event: EgressEvent) => void) | undefined;
}

class OpenEgress implements Egress {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly closed: Promise<void>;
  readonly #link: RelayLink;
  readonly #client: EgressClient;
  readonly #onEvent: About['onEvent'];
  readonly #ports = new Owned<EgressPort>();

  constructor(link: RelayLink, client: EgressClient, {addresses, onEvent}: About) {
    this.#link = link;
    this.#client = client;
    this.#onEvent = onEvent;
    this.name = client.egress;
    this.addresses = addresses;
    this.closed = link.ended.then(async (error) => {
      await this.#ports.close();
      if (error !== undefined) throw error;
    });
    this.closed.catch(() => {});
  }

  get served(): number {
    return this.#ports.all.reduce((sum, {served}) => sum + served, 0);
  }

  get relay(): string {
    return this.#link.relay.url;
  }

  async connect(to: {host: string; port: number}, options: {signal?: AbortSignal} = {}): Promise<Duplex> {
    return await this.#client.connect(to, options);
  }

  async resolve(name: string, options: {signal?: AbortSignal} = {}): Promise<string[]> {
    return await this.#client.resolve(name, options);
  }

  async listen(options: ProxyOptions = {}): Promise<ProxyPort> {
    return await this.#ports.open(() => openProxy(this.#client, {...options, onFailed: this.#onFailed}));
  }

  async forward(destination: string): Promise<ForwardedPort> {
    const forward = readForward(destination);
    return await this.#ports.open(() => forwardPort(this.#client, {...forward, onFailed: this.#onFailed}));
  }

  async run(argv: readonly string[], options: EgressRunOptions = {}): Promise<SealedExit> {
    // Imported here because ports need no seal.
    const {runByEgress} = await import('./run.js');
    return await runByEgress(Promise.resolve(this.#client), argv, options);
  }

  async close(): Promise<void> {
    await this.#ports.close();
    await this.#link.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #onFailed = (error: TunlError, destination: string): void => {
    const {code, message: reason, next} = error;
    this.#onEvent?.({type: 'failed', destination, code, reason, next});
  };
}
