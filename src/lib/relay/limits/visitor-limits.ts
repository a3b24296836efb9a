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

/** New connections come in groups: a page opens six at once, and everybody comes back after a restart. */
const BURST_S = 10;

/** The tunnel that a visitor wants. */
export interface Wanted {
  readonly key: string;
  readonly principal: Pick<Principal, 'owner' | 'tokenId' | 'limits'>;
}

interface WhereFrom {
  isTrusted: boolean;
  /** The relay's own machine. */
  isLocal: boolean;
}

/** A visitor that was counted: the handle for `leave`. */
export type Entered = readonly [by: LimitedBy, name: string][];

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
  admits(wanted: Wanted, peer: Peer): boolean {
    if (this.#isOwn(peer)) return true;
    const here = this.#whereFrom(peer);
    for (const by of ALL) {
      const name = nameOf(by, wanted, peer);
      const {most, perSecond} = this.#of(by, wanted, here);
      const key = `${by} ${name}`;
      if (most !== undefined && this.#open.of(key) >= most) return this.#refuse('visitors', by, name);
      if (perSecond !== undefined && !this.#new.has(key, rateOf(perSecond)))
        return this.#refuse('new-visitors', by, name);
    }
    return true;
  }

  /** Counts the visitor. Undefined: it may not come. */
  enter(wanted: Wanted, peer: Peer): Entered | undefined {
    if (this.#isOwn(peer)) return [];
    if (!this.admits(wanted, peer)) return undefined;
    const here = this.#whereFrom(peer);
    return ALL.map((by) => {
      const name = nameOf(by, wanted, peer);
      const key = `${by} ${name}`;
      const {perSecond} = this.#of(by, wanted, here);
      this.#open.add(key, 1);
      if (perSecond !== undefined) this.#new.spend(key, 1, rateOf(perSecond));
      return [by, name] as const;
    });
  }

  leave(entered: Entered): void {
    for (const [by, name] of entered) this.#open.add(`${by} ${name}`, -1);
  }

  #isOwn({address, port}: Peer): boolean {
    return this.#options.own?.has(address, port) ?? false;
  }

  #whereFrom({address}: Peer): WhereFrom {
    return {isTrusted: this.#options.isTrusted(address), isLocal: isLoopbackHost(address)};
  }

  /** The limits for this visitor. */
  #of(by: LimitedBy, {principal}: Wanted, {isTrusted, isLocal}: WhereFrom): VisitorNumbers {
    if (by === 'address' && isTrusted) return {};
    const {given, standard} = this.#limits;
    const {maxConnections: most, connectionsPerSecond: perSecond} = by === 'owner' ? principal.limits : {};
    // The single token, and keys, belong to a relay of one owner. A program on the relay's own machine is no stranger, or it is
    // a proxy that stands for many. The standard limits are for neither.
    const isOwn = isLocal || (by === 'owner' && principal.tokenId === undefined);
    return {
      ...(isOwn ? {} : standard[by]),
      ...given[by],
      ...(most !== undefined && {most}),
      ...(perSecond !== undefined && {perSecond}),
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
