// The tunnels to the ports of one sandbox. They open while the sandbox starts, and share one link to the relay.

import type {ReadyEvent, TunnelEvent} from '../agent/events.js';
import type {ForwardOptions} from '../agent/options.js';
import type {LocalTunnel} from '../agent/tunnel.js';
import {type DialPort, PortUpstream} from '../agent/upstreams/port.js';
import {atMost, type Clock} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {forwardLater} from '../forward.js';
import {publicUrl} from '../protocol/targets.js';
import type {SandboxTunnel} from './control.js';
import type {VisitedTunnel} from './visitor-traffic.js';

/** How long `tunnels` waits, ms. */
const ADDRESS_MS = 50_000;

export type PortKind = 'encrypted' | 'h2' | 'unencrypted';

export interface PortRequest {
  readonly port: number;
  readonly kind: PortKind;
  /** The wished name of its tunnel. */
  readonly subdomain?: string | undefined;
}

export interface PortsOptions {
  readonly requests: readonly PortRequest[];
  /** Those of the link and of all tunnels. */
  readonly forward: ForwardOptions;
  /** The key in the memory of names: a sandbox without a name gets new ones. */
  readonly name: string | undefined;
  /** For people: `sb_…`. */
  readonly label: string;
  readonly clock: Clock;
  readonly onEvent: (port: number, event: TunnelEvent) => void;
  /** Instead of `forwardLater`, for tests. */
  readonly open?: typeof forwardLater | undefined;
}

interface Opened {
  readonly request: PortRequest;
  readonly tunnel: LocalTunnel;
  /** Undefined until visitors can come. */
  ready?: ReadyEvent;
}

export class SandboxPorts {
  readonly #options: PortsOptions;
  readonly #giveUp = new AbortController();
  readonly #opening: readonly Promise<Opened>[];
  readonly #opened: Opened[] = [];
  #all: Promise<readonly SandboxTunnel[]> | undefined;
  #pointed = Promise.withResolvers<void>();

  /** Begins at once. */
  constructor(options: PortsOptions) {
    this.#options = options;
    this.#pointed.promise.catch(() => {});
    this.#opening = options.requests.map((request) => this.#open(request));
    for (const each of this.#opening) each.catch(() => {});
  }

  get tunnels(): readonly LocalTunnel[] {
    return this.#opened.map(({tunnel}) => tunnel);
  }

  /** For the question whether visitors use the sandbox. */
  get visited(): readonly VisitedTunnel[] {
    return this.tunnels.map(({visits}) => visits);
  }

  /** The addresses that are known so far. */
  get known(): SandboxTunnel[] {
    return this.#opened
      .map(addressOf)
      .filter((each) => each !== undefined)
      .sort((a, b) => a.port - b.port);
  }

  /** The public side of the first port, before the sandbox runs. @throws TunlError the reason why there is none */
  async firstSide(): Promise<{url: string; host: string} | undefined> {
    const [first] = this.#opening;
    if (first === undefined) return undefined;
    const {tls, tcp, local} = (await this.#inTime(first)).tunnel.sides;
    const shown = local ?? tls;
    if (shown !== undefined) {
      return {url: publicUrl(shown.host, shown.port), host: tls?.host ?? shown.host};
    }
    return tcp && {url: `tcp://${tcp.host}:${tcp.port}`, host: tcp.host};
  }

  /** The sandbox runs: visitors go to its ports. */
  pointTo(dialPort: DialPort): void {
    const point = async (opening: Promise<Opened>) => {
      const opened = await opening;
      const {request, tunnel} = opened;
      const label = `${this.#options.label}:${request.port}`;
      tunnel.pointTo(new PortUpstream(label, request.port, dialPort), {});
      opened.ready = tunnel.ready;
    };
    this.#pointed.resolve(Promise.all(this.#opening.map(point)).then(() => {}));
  }

  /** Resolves when each port has its address. @throws TunlError why one has none, or SANDBOX_TUNNELS after 50 s */
  all(): Promise<readonly SandboxTunnel[]> {
    this.#all ??= this.#inTime(this.#pointed.promise).then(
      () => this.known,
      (error: unknown) => {
        this.#all = undefined;
        throw error;
      },
    );
    return this.#all;
  }

  /** No new visitors. Open ones have this long to receive what is on its way. */
  async close(lastBytesMs: number): Promise<void> {
    this.#pointed.reject(new TunlError('SANDBOX_ENDED'));
    const closing = this.tunnels.map((tunnel) => tunnel.close({drainTimeoutMs: lastBytesMs}));
    // Those that are not open yet. An open one closes already.
    this.#giveUp.abort();
    await Promise.allSettled(this.#opening);
    await atMost(this.#options.clock, lastBytesMs + 500, Promise.allSettled(closing));
    for (const tunnel of this.tunnels) tunnel.destroy();
    await Promise.allSettled(closing);
  }

  async #open(request: PortRequest): Promise<Opened> {
    const {forward, name, onEvent, open = forwardLater} = this.#options;
    const {port, kind, subdomain} = request;
    const what = name === undefined ? 'a port of a sandbox' : `sandbox ${name}:${port}`;
    const tunnel = await open(what, {
      ...forward,
      newName: forward.newName ?? name === undefined,
      ...(subdomain !== undefined && {subdomain}),
      unencrypted: kind === 'unencrypted',
      h2: kind === 'h2',
      ...(kind !== 'h2' && {http1: false}),
      signal: this.#giveUp.signal,
      onEvent: (event) => onEvent(port, event),
    });
    const opened = {request, tunnel};
    this.#opened.push(opened);
    return opened;
  }

  async #inTime<T>(what: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = this.#options.clock.after(ADDRESS_MS, () => late.reject(new TunlError('SANDBOX_TUNNELS')));
    try {
      return await Promise.race([what, late.promise]);
    } catch (error) {
      throw toTunlError(error);
    } finally {
      timer.cancel();
    }
  }
}

function addressOf({request, ready}: Opened): SandboxTunnel | undefined {
  if (ready === undefined) return undefined;
  const {url, link, tls, tcp} = ready;
  return {
    port: request.port,
    url: link ?? url,
    ...(tls && {tlsSocket: [tls.host, tls.port] as const}),
    ...(tcp && {tcpSocket: [tcp.host, tcp.port] as const}),
  };
}
