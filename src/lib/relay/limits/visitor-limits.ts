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
import {Counts} from './counts.js';
import type {Limit, LimitedBy} from './limit-names.js';
import type {LimitReports} from './limit-reports.js';
import {type LimitSettings, type LimitsOf, limitsOf, type VisitorNumbers} from './limit-settings.js';

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

/** One of the limits that a visitor counts for. */
interface Counted {
  readonly by: LimitedBy;
  readonly name: string;
  /** Its name in the counts. */
  readonly key: string;
  readonly most: number | undefined;
  readonly perSecond: number | undefined;
}

/** A visitor that was counted: the handle for `leave`. */
export type Entered = readonly Counted[];

export interface VisitorLimitsOptions {
  settings: LimitSettings;
  isTrusted: TrustCheck;
  reports: Pick<LimitReports, 'note'>;
  clock: Clock;
  /** The counts of all processes of this relay. Default: this one is alone. */
  counts?: Counts | undefined;
  /** Connections of this relay to its own public side, which are probes: they are not counted. Default: there are none. */
  own?: Pick<OwnDials, 'has'>;
}

export class VisitorLimits implements Part {
  readonly #options: VisitorLimitsOptions;
  #limits: LimitsOf;
  readonly #open: Counts;
  readonly #new: TokenBuckets;
  readonly #reports: Pick<LimitReports, 'note'>;

  constructor(options: VisitorLimitsOptions) {
    const {settings, clock, counts = new Counts()} = options;
    this.#options = options;
    this.#limits = limitsOf(settings);
    this.#open = counts;
    this.#reports = options.reports;
    this.#new = new TokenBuckets({burst: 1, perSecond: 1, clock});
  }

  reload(settings: LimitSettings): void {
    this.#limits = limitsOf(settings);
  }

  /** True when this visitor may come. A refusal is reported. */
  admits(wanted: Wanted, peer: Peer, isProbe = false): boolean {
    return this.#admits(this.#countedOf(wanted, peer, isProbe));
  }

  /** Counts the visitor. Undefined: it may not come. */
  enter(wanted: Wanted, peer: Peer, isProbe = false): Entered | undefined {
    const all = this.#countedOf(wanted, peer, isProbe);
    if (!this.#admits(all)) return undefined;
    for (const {key, perSecond} of all) {
      this.#open.add(key, 1);
      if (perSecond !== undefined) this.#new.spend(key, 1, rateOf(perSecond));
    }
    return all;
  }

  leave(entered: Entered): void {
    for (const {key} of entered) this.#open.add(key, -1);
  }

  #admits(all: readonly Counted[]): boolean {
    for (const {by, name, key, most, perSecond} of all) {
      if (most !== undefined && this.#open.of(key) >= most) return this.#refuse('visitors', by, name);
      if (perSecond !== undefined && !this.#new.has(key, rateOf(perSecond)))
        return this.#refuse('new-visitors', by, name);
    }
    return true;
  }

  #countedOf(wanted: Wanted, peer: Peer, isProbe: boolean): Counted[] {
    if (this.#options.own?.has(peer.address, peer.port)) return [];
    const {principal} = wanted;
    const isTrusted = this.#options.isTrusted(peer.address);
    const isLocal = isLoopbackHost(peer.address);
    return (isProbe ? FOR_PROBES : ALL).map((by) => {
      const name = nameOf(by, wanted, peer);
      const {most, perSecond} = by === 'address' && isTrusted ? {} : this.#of(by, principal, isLocal);
      return {by, name, key: `${by} ${name}`, most, perSecond};
    });
  }

  /** @param isLocal the visitor is on the relay's own machine. */
  #of(by: LimitedBy, {tokenId, limits: own}: Wanted['principal'], isLocal: boolean): VisitorNumbers {
    // The single token, and keys, belong to a relay of one owner. A program on the relay's own machine is no stranger, or it is
    // a proxy that stands for many. The standard limits are for neither.
    const isOwn = isLocal || (by === 'owner' && tokenId === undefined);
    const given = this.#limits.given[by];
    const standard = isOwn ? undefined : this.#limits.standard[by];
    const ofOwner = by === 'owner' ? own : undefined;
    return {
      most: ofOwner?.maxConnections ?? given.most ?? standard?.most,
      perSecond: ofOwner?.connectionsPerSecond ?? given.perSecond ?? standard?.perSecond,
    };
  }

  #refuse(limit: Limit, by: LimitedBy, name: string): false {
    this.#reports.note(limit, by, name);
    return false;
  }
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
