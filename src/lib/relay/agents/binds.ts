// The binds of agents: their number and rate, their answers, and the release of tunnels when a session ends.

import type {Clock} from '../../core/clock.js';
import {ERRORS, errorForPeer, TunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import type {Session} from '../../mux/session.js';
import {AddressFilter} from '../../net/address-filter.js';
import type {AgentMessage, RelayMessage, TunnelRequest} from '../../protocol/control-messages.js';
import {FEATURE_WARNINGS} from '../../protocol/link-messages.js';
import type {Rights} from '../access/rights.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import {type RelayEvents, sessionName} from '../events.js';
import type {TunnelNames} from '../tunnels/tunnel-names.js';
import type {Tunnel, TunnelTable} from '../tunnels/tunnel-table.js';
import type {Opener} from './opened-streams.js';
import {Restrictions} from './restrictions.js';

/**
 * The binds of one session at once, at least twice the tunnels that an agent may have, because it binds everything again
 * after a restart of the relay; and the binds a second after that. A bind costs fifty times as much as a small frame.
 */
const BIND_BURST = 200;
const BINDS_PER_SECOND = 20;

/**
 * Releases in one turn of the event loop, about a tenth of a millisecond, and the rest between two such turns, ms. However many
 * sessions end together, their releases take a tenth of a processor: a relay that works without a pause waits longer for a
 * processor when visitors' bytes come.
 */
const RELEASES_A_TURN = 32;
const REST_MS = 1;

/** The most warnings about one tunnel in a session: strangers cause some of them. */
const MOST_WARNINGS = 8;

/** An agent's session, with its tunnels. */
export interface Binder {
  readonly session: Session;
  readonly opener: Opener;
  readonly tunnels: Map<number, Tunnel>;
  /** Binds in progress; they count as tunnels, so that a burst cannot exceed the limit. */
  binding: number;
}

export interface BindsOptions {
  tunnels: Pick<TunnelTable, 'bind' | 'release'>;
  names: Pick<TunnelNames, 'check' | 'edition'>;
  /** Why visitors of a name that agents have just bound may fail. */
  warningOf: (tunnel: Tunnel) => string | undefined;
  /** A tunnel is bound, and its agent knows it: visitors may come. */
  onBound: (tunnel: Tunnel) => void;
  /** The addresses from which visitors may come have changed. */
  onRestricted: (tunnel: Tunnel) => void;
  maxTunnelsPerAgent: number;
  maxLeasesPerOwner: number;
  /** The number of sessions of an owner. */
  sessionsOf: (owner: string) => number;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
  log: Logger;
}

export class Binds {
  #options: BindsOptions;
  /** The limit of binds for each session, by its id. */
  #buckets: TokenBuckets;
  readonly #restrictions: Restrictions;
  /** The rights and the reserved names by which all tunnels of a session were checked last. */
  readonly #checked = new WeakMap<Binder, {rights: Rights; edition: number}>();
  /** Tunnels of sessions that are over. */
  readonly #toRelease: Tunnel[] = [];
  /** How many were released since the last rest. */
  #released = 0;

  constructor(options: BindsOptions) {
    this.#options = options;
    this.#buckets = bucketsFor(options);
    this.#restrictions = new Restrictions({
      hasToken: ({opener}) => this.#buckets.has(opener.session),
      spendToken: ({opener}) => this.#buckets.spend(opener.session),
      onRestricted: options.onRestricted,
      clock: options.clock,
    });
  }

  /** Tunnels beyond a smaller limit stay. */
  reload(limits: Pick<BindsOptions, 'maxTunnelsPerAgent' | 'maxLeasesPerOwner'>): void {
    const isSame = limits.maxTunnelsPerAgent === this.#options.maxTunnelsPerAgent;
    this.#options = {...this.#options, ...limits};
    if (!isSame) this.#buckets = bucketsFor(this.#options);
  }

  onMessage(binder: Binder, message: AgentMessage): void {
    switch (message.type) {
      case 'bind':
        this.#onBind(binder, message);
        return;
      case 'unbind':
        this.#unbind(binder, message.tunnel);
        return;
      case 'restrict':
        this.#restrict(binder, message);
    }
  }

  /** The session is over. Its tunnels get no visitors from now on; a long list is released in several turns. */
  releaseAll(binder: Binder): void {
    const {tunnels} = binder;
    this.#restrictions.forget(binder);
    for (const tunnel of tunnels.values()) this.#toRelease.push(tunnel);
    tunnels.clear();
    this.#releaseSome();
  }

  /**
   * Rights may have changed: the session loses the tunnels that they do not allow any more. Every login of anybody comes here
   * for all sessions, so those to whom nothing has changed must cost nothing.
   */
  recheck(binder: Binder): void {
    const {events, names} = this.#options;
    const {principal, session} = binder.opener;
    const {owner, tokenId, rights} = principal;
    const {edition} = names;
    const last = this.#checked.get(binder);
    if (last?.rights === rights && last.edition === edition) return;
    this.#checked.set(binder, {rights, edition});
    for (const [id, tunnel] of [...binder.tunnels]) {
      const refused = this.#refusalOf(tunnel, rights);
      if (refused === undefined) continue;
      this.#unbind(binder, id);
      send(binder, {type: 'unbound', tunnel: id, code: 'NOT_ALLOWED', message: ERRORS.NOT_ALLOWED.sentence});
      const {key, epoch} = tunnel;
      events.emit({type: 'tunnel-withdrawn', session: sessionName(session), key, epoch, owner, tokenId});
    }
  }

  /** The reason why these rights do not allow a tunnel that is bound: the same as for a bind. */
  #refusalOf(tunnel: Tunnel, rights: Rights): unknown {
    try {
      this.#options.names.check(tunnel, rights);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** Releases at once what waits for a later turn. */
  releaseRest(): void {
    for (const tunnel of this.#toRelease.splice(0)) void this.#options.tunnels.release(tunnel);
  }

  #releaseSome(): void {
    const some = this.#toRelease.splice(0, RELEASES_A_TURN - this.#released);
    for (const tunnel of some) void this.#options.tunnels.release(tunnel);
    if (this.#released === 0 && some.length > 0) this.#options.clock.after(REST_MS, this.#nextTurn);
    this.#released += some.length;
  }

  readonly #nextTurn = (): void => {
    this.#released = 0;
    this.#releaseSome();
  };

  #unbind({tunnels}: Binder, id: number): void {
    const tunnel = tunnels.get(id);
    if (tunnel === undefined) return;
    tunnel.draining = true;
    tunnels.delete(id);
    void this.#options.tunnels.release(tunnel);
  }

  #restrict(binder: Binder, {tunnel: id, cidr}: AgentMessage & {type: 'restrict'}): void {
    const tunnel = binder.tunnels.get(id);
    // It was unbound, or lost, while the message was under way.
    if (tunnel !== undefined) this.#restrictions.restrict(binder, tunnel, cidr);
  }

  #onBind(binder: Binder, message: AgentMessage & {type: 'bind'}): void {
    const {request} = message;
    const {events, log, maxTunnelsPerAgent} = this.#options;
    const id = binder.opener.session;
    const refuse = (error: unknown) => {
      const code = error instanceof TunlError ? error.code : 'BIND_REFUSED';
      const reason = error instanceof TunlError ? error.message : 'The relay failed.';
      if (!(error instanceof TunlError)) log.error('bind failed', {reason: String(error)});
      const {owner, tokenId} = binder.opener.principal;
      events.emit({
        type: 'bind-refused',
        ...{session: sessionName(id), code, owner, tokenId, wish: wishText(message.wish)},
      });
      send(binder, {type: 'bind-refused', request, code, message: reason});
    };
    if (!this.#buckets.has(id)) {
      const seconds = Math.ceil(this.#buckets.waitMs(id) / 1_000);
      refuse(errorForPeer('RELAY_BUSY', {reason: `Too many binds in a row; the next in ${seconds} s.`}));
      return;
    }
    this.#buckets.spend(id);
    if (binder.tunnels.size + binder.binding >= maxTunnelsPerAgent) {
      refuse(errorForPeer('TOO_MANY_TUNNELS'));
      return;
    }
    binder.binding += 1;
    this.#bind(binder, message)
      .catch(refuse)
      .finally(() => {
        binder.binding -= 1;
      });
  }

  async #bind(binder: Binder, message: AgentMessage & {type: 'bind'}): Promise<void> {
    const {tunnels} = this.#options;
    const {request, wish, holder, epoch: had} = message;
    let id: number | undefined;
    let lost: TunlError | undefined;
    let warned: Set<string> | undefined;
    const {maxTunnels} = binder.opener.principal.limits;
    const takesWarnings = binder.opener.features.includes(FEATURE_WARNINGS);
    const tunnel: Tunnel = await tunnels.bind({
      wish,
      addresses: wish.cidr && new AddressFilter(wish.cidr),
      principal: binder.opener.principal,
      claimant: {
        ...{holder, epoch: had, withinShare: this.#isWithinShare(binder)},
        ...(maxTunnels !== undefined && {mostOfOwner: maxTunnels}),
      },
      session: binder.session,
      sessionName: sessionName(binder.opener.session),
      onLost: (code, message) => {
        // A second bind of the same tunnel came in the same turn, before this one was answered.
        if (id === undefined) {
          lost = new TunlError(code, {reason: message});
          return;
        }
        binder.tunnels.delete(id);
        send(binder, {type: 'unbound', tunnel: id, code, message});
      },
      warn: (code, message) => {
        if (id === undefined || binder.tunnels.get(id) !== tunnel || !takesWarnings) return;
        warned ??= new Set();
        if (warned.size >= MOST_WARNINGS || warned.has(message)) return;
        warned.add(message);
        send(binder, {type: 'warning', tunnel: id, code, message});
      },
    });
    if (lost !== undefined) throw lost as TunlError;
    id = tunnel.id;
    if (binder.session.ended) {
      await tunnels.release(tunnel);
      return;
    }
    // The rights may have changed meanwhile.
    const refused = this.#refusalOf(tunnel, binder.opener.principal.rights);
    if (refused !== undefined) {
      await tunnels.release(tunnel);
      throw refused;
    }
    binder.tunnels.set(id, tunnel);
    const {epoch, host, port} = tunnel;
    const warning = this.#options.warningOf(tunnel);
    send(binder, {
      type: 'bound',
      request,
      tunnel: id,
      epoch,
      host,
      port,
      ...(warning !== undefined && {warning}),
    });
    this.#options.onBound(tunnel);
  }

  /** Many agents can share a token. An agent that binds as much as it can must not keep the others from binding a few. */
  #isWithinShare({opener, tunnels, binding}: Binder): boolean {
    const {maxLeasesPerOwner, sessionsOf} = this.#options;
    const share = Math.floor(maxLeasesPerOwner / Math.max(1, sessionsOf(opener.principal.owner)));
    return tunnels.size + binding <= Math.max(1, share);
  }
}

/** The wish in one word, for events. Only a name that could be one is repeated. */
function wishText(wish: TunnelRequest): string {
  if (wish.kind === 'tcp') return wish.port === undefined ? 'tcp' : `tcp:${wish.port}`;
  return wish.name !== undefined && /^[a-z0-9-]{1,63}$/.test(wish.name) ? `tls:${wish.name}` : 'tls';
}

function bucketsFor({clock, maxTunnelsPerAgent}: BindsOptions): TokenBuckets {
  const burst = Math.max(BIND_BURST, 2 * maxTunnelsPerAgent);
  return new TokenBuckets({burst, perSecond: BINDS_PER_SECOND, clock});
}

function send({session}: Binder, message: RelayMessage): void {
  session.sendControl(message);
}
