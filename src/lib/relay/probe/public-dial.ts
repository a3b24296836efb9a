// Probes of this relay's own public names and ports, as a visitor from this machine would come.

import {lookup} from 'node:dns/promises';
import type {SecureContext} from 'node:tls';
import {dialProbe, type ProbeEnd} from '../../carrier/probe.js';
import {tls} from '../../core/node-tls.js';
import {plainAddress} from '../../net/host-name.js';
import {knownAddresses} from '../../net/localhost.js';
import {OwnAddresses} from '../../net/own-addresses.js';
import type {HostPort} from '../../protocol/targets.js';
import {isLoopbackHost} from '../../protocol/targets.js';
import type {OwnDials} from './own-dials.js';

/** The limit for one probe, ms. */
export const PROBE_MS = 3_000;

export interface PublicDialOptions {
  publicPort: () => number;
  /** The relay's own port. */
  door: {readonly address: HostPort};
  /** The hosts that TCP tunnels listen on, and have in their addresses. */
  tcpHost: string;
  tcpPublicHost: string;
  /** PEM of what visitors have to trust. */
  certificates: {readonly trust: string};
  own: OwnDials;
}

export class PublicDial {
  readonly #options: PublicDialOptions;
  readonly #ownAddresses = new OwnAddresses();
  #trusted: {pem: string; context: SecureContext} | undefined;

  constructor(options: PublicDialOptions) {
    this.#options = options;
  }

  /** Through the public name. `inside`: at the relay's own port instead, without DNS and routers. */
  name(
    host: string,
    {secret, signal, inside = false}: {secret: string; signal: AbortSignal; inside?: boolean},
  ): Promise<ProbeEnd> {
    const {publicPort, door, own} = this.#options;
    return dialProbe({
      ...{host, port: publicPort(), secret, signal},
      at: inside ? {host: reachable(door.address.host), port: door.address.port} : undefined,
      contexts: [() => this.#context()],
      timeoutMs: PROBE_MS,
      onSocket: (socket) => own.add(socket),
    });
  }

  /**
   * Through a public port. The other end knows the connection by its address, so it must not leave this machine: a router
   * would change the address, and the tunnel's upstream would get the secret.
   */
  async port(port: number, {secret, signal}: {secret: string; signal: AbortSignal}): Promise<ProbeEnd> {
    const {tcpHost, tcpPublicHost, own} = this.#options;
    const here = await this.#addressHere(tcpPublicHost);
    return await dialProbe({
      ...{host: tcpPublicHost, port, secret, signal},
      at: {host: here ?? reachable(tcpHost), port},
      contexts: undefined,
      timeoutMs: PROBE_MS,
      onSocket: (socket) => own.add(socket),
    });
  }

  /** The first address of a name that is one of this machine's, as far as those are known. */
  async #addressHere(host: string): Promise<string | undefined> {
    const found =
      knownAddresses(host) ??
      (await lookup(host, {all: true}).then(
        (all) => all.map(({address}) => address),
        () => [],
      ));
    const mine = this.#ownAddresses.find();
    return found.find((address) => isLoopbackHost(address) || mine?.has(plainAddress(address) ?? ''));
  }

  /** Trusts the certificates of this relay alone: the question is whether its own name leads to it. */
  #context(): SecureContext {
    const pem = this.#options.certificates.trust;
    if (this.#trusted?.pem !== pem) {
      // The type does not know the option yet. A given chain has no root.
      const options: object = {ca: pem, allowPartialTrustChain: true};
      this.#trusted = {pem, context: tls.createSecureContext(options)};
    }
    return this.#trusted.context;
  }
}

/** Listeners on all addresses are also on loopback. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
