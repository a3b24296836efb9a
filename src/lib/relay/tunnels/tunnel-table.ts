// The present tunnels of this relay's agents: names and ports, and the sessions that get their visitors.

import type {Clock} from '../../core/clock.js';
import {type ErrorCode, TunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import type {TcpBind, TlsBind} from '../../protocol/control-messages.js';
import type {Blocks} from '../access/blocked.js';
import {allowsKey, checkKey, portsToChoose} from '../access/tunnel-rights.js';
import type {RelayEvents} from '../events.js';
import type {ClaimResult, LeaseKey, LeaseStore} from '../leases/lease-store.js';
import type {Elsewhere} from './elsewhere.js';
import {PortSearch} from './port-search.js';
import {blocked, refusedClaim, takenOver} from './refused-claims.js';
import type {TcpPorts} from './tcp-ports.js';
import type {BindRequest, Tunnel, TunnelTraffic} from './tunnel.js';
import {type TunnelName, TunnelNames} from './tunnel-names.js';

export type {BindRequest, Tunnel, TunnelTraffic};

export interface TunnelTableOptions {
  domain: string;
  /** The port in addresses of TLS tunnels. It is a function because the port may be unknown until the relay listens. */
  publicPort: () => number;
  tcpPublicHost: string;
  /** False when all names share one certificate: browsers would mix up their h2 connections. */
  h2Offered: boolean;
  leases: LeaseStore;
  ports: TcpPorts;
  /** Tunnels in other processes of this relay. Default: there are none. */
  elsewhere?: Elsewhere | undefined;
  /** Names and ports that nobody may have. Default: none. */
  blocks?: Pick<Blocks, 'hasName'>;
  clock: Pick<Clock, 'now'>;
  /** Default: the usual ones are reserved, and random ones are known while this process runs. */
  names?: TunnelNames;
  /** The relay's own tunnel, which no agent has. */
  own?: {readonly label: string; readonly tunnel: Tunnel} | undefined;
  events: Pick<RelayEvents, 'emit'>;
  log: Logger;
}

type Granted = ClaimResult & {ok: true};

/** The address of a tunnel for visitors. */
type PublicSide = Pick<Tunnel, 'host' | 'port' | 'alpn' | 'isRandom'>;

/** Random names to try before giving up: one collision of 80 bits already means a broken random source. */
const NAME_TRIES = 4;

export class TunnelTable {
  readonly #options: TunnelTableOptions;
  readonly #names: TunnelNames;
  readonly #portSearch: PortSearch;
  readonly #byKey = new Map<LeaseKey, Tunnel>();
  /** Keys with claims in progress: the number of binds, and the highest epoch that one of them was granted. */
  readonly #races = new Map<LeaseKey, {claims: number; epoch: number}>();
  #nextId = 1;

  constructor(options: TunnelTableOptions) {
    this.#options = options;
    this.#portSearch = new PortSearch(options);
    this.#names = options.names ?? new TunnelNames({domain: options.domain, reservedNames: []});
  }

  get size(): number {
    return this.#byKey.size;
  }

  named(label: string): Tunnel | undefined {
    const {own} = this.#options;
    return this.#present(`tls:${label}`) ?? (label === own?.label ? own.tunnel : undefined);
  }

  ofPort(port: number): Tunnel | undefined {
    return this.#present(`tcp:${port}`);
  }

  /** A tunnel whose session has ended is only waiting for its release. */
  #present(key: LeaseKey): Tunnel | undefined {
    const tunnel = this.#byKey.get(key);
    return tunnel?.session.ended === true ? undefined : tunnel;
  }

  all(): Iterable<Tunnel> {
    return this.#byKey.values();
  }

  /** All tunnels with a name. */
  *allNamed(): Generator<Tunnel> {
    for (const tunnel of this.#byKey.values()) if (tunnel.key.startsWith('tls:')) yield tunnel;
  }

  isInUse(key: LeaseKey): boolean {
    return this.#byKey.get(key)?.session.link !== undefined;
  }

  /** Another process of this relay has claimed the key: the tunnel with this epoch, or an older one, is lost. */
  lose(key: LeaseKey, epoch: number): void {
    const race = this.#races.get(key);
    if (race !== undefined) race.epoch = Math.max(race.epoch, epoch + 1);
    const tunnel = this.#byKey.get(key);
    if (tunnel === undefined || tunnel.epoch > epoch) return;
    this.#byKey.delete(key);
    this.#tellLoss(tunnel);
  }

  /** @throws TunlError the reason why the request is refused. */
  async bind(request: BindRequest): Promise<Tunnel> {
    return request.wish.kind === 'tls'
      ? await this.#bindName(request, request.wish)
      : await this.#bindPort(request, request.wish);
  }

  /** The holder is gone or gave it up; the lease stays with its owner for the grace period. */
  async release(tunnel: Tunnel): Promise<void> {
    if (this.#byKey.get(tunnel.key) !== tunnel) return;
    this.#byKey.delete(tunnel.key);
    const {key, epoch, sessionName: session} = tunnel;
    this.#options.ports.close(tunnel.port, tunnel);
    this.#options.events.emit({type: 'tunnel-released', session, key, epoch});
    try {
      await this.#options.leases.release(key, epoch);
    } catch (error) {
      this.#options.log.error('a lease could not be released', {key, reason: String(error)});
    }
  }

  /** Takes the tunnel with this key from its holder, for good. Undefined: there is none. */
  async end(key: LeaseKey, code: ErrorCode, message: string): Promise<Tunnel | undefined> {
    const tunnel = this.#byKey.get(key);
    if (tunnel === undefined) return undefined;
    await this.release(tunnel);
    tunnel.onLost(code, message);
    return tunnel;
  }

  #isBlocked(key: LeaseKey): boolean {
    return this.#options.blocks?.hasName(key) ?? false;
  }

  async #bindName(request: BindRequest, wish: TlsBind): Promise<Tunnel> {
    if (wish.h2 && !this.#options.h2Offered) throw new TunlError('H2_NOT_OFFERED');
    const {rights} = request.principal;
    if (wish.name !== undefined) {
      const tunnel = await this.#takeName(request, this.#names.wanted(wish.name, rights), wish);
      if (tunnel === undefined)
        throw new TunlError('NAME_TAKEN', {reason: `${wish.name} belongs to somebody else.`});
      return tunnel;
    }
    const preferred = wish.prefer === undefined ? undefined : this.#names.preferred(wish.prefer, rights);
    if (preferred !== undefined && !(await this.#inUse(`tls:${preferred.label}`))) {
      const tunnel = await this.#takeName(request, preferred, wish);
      if (tunnel !== undefined) return tunnel;
    }
    for (let tries = 0; tries < NAME_TRIES; tries += 1) {
      const tunnel = await this.#takeName(request, this.#names.draw(rights), wish);
      if (tunnel !== undefined) return tunnel;
    }
    throw new TunlError('BIND_REFUSED', {reason: 'No random name was free.'});
  }

  /** In use over a live link: an agent that would only prefer it starts a second tunnel beside the first. */
  async #inUse(key: LeaseKey): Promise<boolean> {
    return this.isInUse(key) || ((await this.#options.elsewhere?.inUse(key)) ?? false);
  }

  async #takeName(
    request: BindRequest,
    {label, isRandom}: TunnelName,
    wish: TlsBind,
  ): Promise<Tunnel | undefined> {
    return await this.#take(`tls:${label}`, request, {
      isRandom,
      host: `${label}.${this.#options.domain}`,
      port: this.#options.publicPort(),
      alpn: offersOf(wish),
    });
  }

  async #bindPort(request: BindRequest, wish: TcpBind): Promise<Tunnel> {
    const {ports} = this.#options;
    if (!ports.offered) throw new TunlError('TCP_NOT_OFFERED');
    const {rights} = request.principal;
    if (wish.port !== undefined) {
      if (!ports.includes(wish.port)) {
        throw new TunlError('PORT_NOT_OFFERED', {
          reason: `The relay offers TCP ports ${ports.label}, not ${wish.port}.`,
        });
      }
      checkKey(rights, {key: `tcp:${wish.port}`, isRandom: false});
      const tunnel = await this.#takePort(request, wish.port);
      if (tunnel === undefined)
        throw new TunlError('PORT_TAKEN', {reason: `Port ${wish.port} of the relay is taken.`});
      return tunnel;
    }
    if (
      wish.prefer !== undefined &&
      ports.includes(wish.prefer) &&
      allowsKey(rights, {key: `tcp:${wish.prefer}`, isRandom: false}) &&
      !(await this.#inUse(`tcp:${wish.prefer}`))
    ) {
      const tunnel = await this.#takePort(request, wish.prefer);
      if (tunnel !== undefined) return tunnel;
    }
    for await (const port of this.#portSearch.free(portsToChoose(rights))) {
      // A preferred port that is still leased is not random: it would take over another tunnel of the same owner.
      const tunnel = await this.#takePort(
        {...request, claimant: {...request.claimant, mustBeFree: true}},
        port,
      );
      if (tunnel !== undefined) return tunnel;
    }
    throw new TunlError('NO_FREE_PORT');
  }

  /** `port` 0: any port that the system gives. */
  async #takePort(request: BindRequest, port: number): Promise<Tunnel | undefined> {
    const {ports, leases, tcpPublicHost, elsewhere} = this.#options;
    if (request.claimant.mustBeFree && this.#isBlocked(`tcp:${port}`)) return undefined;
    const side = {host: tcpPublicHost, port, alpn: [], isRandom: false};
    // Avoids a listener that would be useless.
    const owner = port === 0 ? undefined : await leases.ownerOf(`tcp:${port}`);
    if (owner !== undefined && (owner !== request.principal.owner || request.claimant.mustBeFree))
      return undefined;
    const key: LeaseKey = `tcp:${port}`;
    if (
      port !== 0 &&
      elsewhere !== undefined &&
      this.ofPort(port) === undefined &&
      (await elsewhere.holds(key))
    )
      return await this.#take(key, request, side, {listen: port});
    const opened = await ports.open(port, request);
    if (opened === undefined) return undefined;
    try {
      return await this.#take(`tcp:${opened}`, request, {...side, port: opened});
    } finally {
      ports.close(opened, request);
    }
  }

  /**
   * Undefined: another owner has it.
   *
   * @throws TunlError TAKEN_OVER when the agent had it, and has lost it to another one since; or the error of a limit.
   */
  async #take(
    key: LeaseKey,
    request: BindRequest,
    side: PublicSide,
    {listen}: {listen?: number} = {},
  ): Promise<Tunnel | undefined> {
    if (this.#isBlocked(key)) throw blocked(key);
    const race = this.#races.get(key) ?? {claims: 0, epoch: 0};
    this.#races.set(key, race);
    race.claims += 1;
    try {
      const claim = await this.#options.leases.claim(key, request.principal.owner, request.claimant);
      if (!claim.ok) return refusedClaim(key, claim);
      // The store's answers may come in another order than that in which it granted the claims.
      if (claim.epoch < race.epoch) throw takenOver(key);
      race.epoch = claim.epoch;
      if (listen === undefined) return this.#put(request, key, claim, side);
      return await this.#listenAndPut(request, listen, {key, claim, side, race});
    } finally {
      race.claims -= 1;
      if (race.claims === 0) this.#races.delete(key);
    }
  }

  /** The other process that had the port listens no more since the claim. */
  async #listenAndPut(
    request: BindRequest,
    port: number,
    {key, claim, side, race}: {key: LeaseKey; claim: Granted; side: PublicSide; race: {epoch: number}},
  ): Promise<Tunnel | undefined> {
    const {ports, leases} = this.#options;
    let opened: number | undefined;
    try {
      opened = await ports.open(port, request);
      if (claim.epoch < race.epoch) throw takenOver(key);
      return opened === undefined ? undefined : this.#put(request, key, claim, side);
    } finally {
      ports.close(port, request);
      if (this.#byKey.get(key)?.epoch !== claim.epoch) void leases.release(key, claim.epoch).catch(() => {});
    }
  }

  /** @throws TunlError BLOCKED when the operator has blocked the key while it was claimed. */
  #put(request: BindRequest, key: LeaseKey, {epoch, takeover}: Granted, side: PublicSide): Tunnel {
    const {ports, events, leases} = this.#options;
    if (this.#isBlocked(key)) {
      void leases.release(key, epoch).catch(() => {});
      throw blocked(key);
    }
    const {sessionName: session, principal} = request;
    const {owner, tokenId} = principal;
    const before = this.#byKey.get(key);
    const tunnel: Tunnel = {
      id: this.#nextId++,
      key,
      session: request.session,
      owner,
      principal,
      sessionName: request.sessionName,
      epoch,
      ...side,
      addresses: request.addresses,
      since: this.#options.clock.now(),
      traffic: {visitors: 0, bytesIn: 0, bytesOut: 0},
      draining: false,
      onLost: request.onLost,
      warn: request.warn,
    };
    this.#byKey.set(key, tunnel);
    if (key.startsWith('tcp:')) ports.hold(tunnel.port, tunnel);
    events.emit({
      type: 'tunnel-bound',
      session,
      key,
      epoch,
      takeover: before !== undefined || takeover === true,
      owner,
      tokenId,
    });
    if (before !== undefined) this.#tellLoss(before);
    return tunnel;
  }

  #tellLoss(tunnel: Tunnel): void {
    const {ports, events} = this.#options;
    const {key, epoch, sessionName: session} = tunnel;
    ports.close(tunnel.port, tunnel);
    events.emit({type: 'tunnel-lost', session, key, epoch});
    const {code, message} = takenOver(key);
    tunnel.onLost(code, message);
  }
}

function offersOf({h2, http1 = true}: TlsBind): readonly string[] {
  if (!h2) return ['http/1.1'];
  return http1 ? ['h2', 'http/1.1'] : ['h2'];
}
