// Limits for visitors: how many connections the relay, an owner, a tunnel and an address may have at once, and how many new ones
// a second. Visitors beyond a limit are reset, those with TLS before their handshake.

import type {Clock} from '../../core/clock.js';
import {isLoopbackHost} from '../../protocol/targets.js';
import type {Principal} from '../access/principal.js';
import type {Peer} from '../doors/peer.js';
import {type TokenBucketRate, TokenBuckets} from '../doors/token-buckets.js';
import type {TrustCheck} from '../doors/trusted.js';
import type {Part} from '../part.js';
import type {OwnDials} from '../probe/own-dials.js';
import type {Limit, LimitedBy} from './limit-names.js';
import type {LimitReports} from './limit-reports.js';
import {type LimitSettings, type LimitsOf, limitsOf, type VisitorNumbers} from './limit-settings.js';
import {type VisitorCount, VisitorCounts} from './visitor-counts.js';

const ALL: readonly LimitedBy[] = ['relay', 'address', 'tunnel', 'owner'];
/** A probe reaches no upstream, and must not take a visitor's place: it counts only for the address that it comes from. */
const FOR_PROBES: readonly LimitedBy[] = ['address'];

/** New connections come in groups: a page opens six at once, and everybody comes back after a restart. */
const BURST_S = 10;

/** The tunnel that a visitor wants. */
export interface Wanted {
  readonly key: string;
  readonly principal: Pick<Principal, 'owner' | 'tokenId' | 'limits'>;
}

/** A visitor that was counted: the handle for `leave`. */
export type Entered = readonly VisitorCount[];

export interface VisitorLimitsOptions {
  settings: LimitSettings;
  isTrusted: TrustCheck;
  reports: Pick<LimitReports, 'note'>;
  clock: Clock;
  /** The counts of all processes of this relay. Default: this one is alone. */
  counts?: VisitorCounts | undefined;
  /** Connections of this relay to its own public side, which are probes: they are not counted. Default: there are none. */
  own?: Pick<OwnDials, 'has'>;
}

export class VisitorLimits implements Part {
  readonly #options: VisitorLimitsOptions;
  #limits: LimitsOf;
  readonly #open: VisitorCounts;
  readonly #new: Readonly<Record<LimitedBy, TokenBuckets>>;
  readonly #reports: Pick<LimitReports, 'note'>;
  readonly #noLimit: VisitorNumbers = {most: undefined, perSecond: undefined};

  constructor(options: VisitorLimitsOptions) {
    const {settings, clock, counts = new VisitorCounts()} = options;
    this.#options = options;
    this.#limits = limitsOf(settings);
    this.#open = counts;
    this.#reports = options.reports;
    const buckets = () => new TokenBuckets({burst: 1, perSecond: 1, clock});
    this.#new = {relay: buckets(), owner: buckets(), tunnel: buckets(), address: buckets()};
  }

  reload(settings: LimitSettings): void {
    this.#limits = limitsOf(settings);
  }

  /** True when this visitor may come. A refusal is reported. */
  admits(wanted: Wanted, peer: Peer, isProbe = false): boolean {
    return this.#isOwn(peer) || this.#admits(isProbe ? FOR_PROBES : ALL, wanted, peer);
  }

  /** Counts the visitor. Undefined: it may not come. */
  enter(wanted: Wanted, peer: Peer, isProbe = false): Entered | undefined {
    if (this.#isOwn(peer)) return [];
    const kinds = isProbe ? FOR_PROBES : ALL;
    if (!this.#admits(kinds, wanted, peer)) return undefined;
    const entered: VisitorCount[] = [];
    for (const by of kinds) {
      const name = nameOf(by, wanted, peer);
      entered.push(this.#open.enter(by, name));
      const {perSecond} = this.#numbersOf(by, wanted.principal, peer);
      if (perSecond !== undefined) this.#new[by].spend(name, 1, rateOf(perSecond));
    }
    return entered;
  }

  leave(entered: Entered): void {
    for (const count of entered) this.#open.leave(count);
  }

  #isOwn({address, port}: Peer): boolean {
    return this.#options.own?.has(address, port) === true;
  }

  #admits(kinds: readonly LimitedBy[], wanted: Wanted, peer: Peer): boolean {
    for (const by of kinds) {
      const {most, perSecond} = this.#numbersOf(by, wanted.principal, peer);
      if (most === undefined && perSecond === undefined) continue;
      const name = nameOf(by, wanted, peer);
      if (most !== undefined && this.#open.of(by, name) >= most) return this.#refuse('visitors', by, name);
      if (perSecond !== undefined && !this.#new[by].has(name, rateOf(perSecond)))
        return this.#refuse('new-visitors', by, name);
    }
    return true;
  }

  #numbersOf(by: LimitedBy, {tokenId, limits: own}: Wanted['principal'], {address}: Peer): VisitorNumbers {
    if (by === 'address' && this.#options.isTrusted(address)) return this.#noLimit;
    // The single token, and keys, belong to a relay of one owner. A program on the relay's own machine is no stranger, or it is
    // a proxy that stands for many. The standard limits are for neither.
    const isOwn = (by === 'owner' && tokenId === undefined) || isOwnMachine(address);
    const usual = (isOwn ? this.#limits.given : this.#limits.all)[by];
    if (by !== 'owner' || (own.maxConnections === undefined && own.connectionsPerSecond === undefined))
      return usual;
    return {
      most: own.maxConnections ?? usual.most,
      perSecond: own.connectionsPerSecond ?? usual.perSecond,
    };
  }

  #refuse(limit: Limit, by: LimitedBy, name: string): false {
    this.#reports.note(limit, by, name);
    return false;
  }
}

/** The kernel writes each loopback address in one way, so most visitors need no parser. */
function isOwnMachine(address: string): boolean {
  return address.includes(':') ? isLoopbackHost(address) : address.startsWith('127.');
}

function nameOf(by: LimitedBy, {key, principal}: Wanted, peer: Peer): string {
  switch (by) {
    case 'relay':
      return '';
    case 'owner':
      return principal.owner;
    case 'tunnel':
      return key;
    case 'address':
      return peer.source;
  }
}

function rateOf(perSecond: number): TokenBucketRate {
  return {perSecond, burst: perSecond * BURST_S};
}
