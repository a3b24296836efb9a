// How many connections a second of one address may ask for names without a tunnel: names that nobody has bound, or that are blocked.

import type {Clock} from '../../core/clock.js';
import {isLoopbackHost} from '../../protocol/targets.js';
import type {Peer} from '../doors/peer.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {TrustCheck} from '../doors/trusted.js';
import type {Part} from '../part.js';
import type {LimitReports} from './limit-reports.js';
import {type LimitSettings, STANDARD_UNKNOWN_NAMES_PER_SECOND} from './limit-settings.js';

type NameSettings = Pick<LimitSettings, 'unknownNamesPerSecondPerAddress'>;

/** A tunnel that has just ended may have had many visitors behind one address, whose pages try again. */
const BURST_S = 10;

export interface UnknownNamesOptions {
  settings: NameSettings;
  isTrusted: TrustCheck;
  reports: Pick<LimitReports, 'note'>;
  clock: Clock;
}

export class UnknownNames implements Part {
  readonly #options: UnknownNamesOptions;
  #settings: NameSettings;
  readonly #buckets: TokenBuckets;

  constructor(options: UnknownNamesOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#buckets = new TokenBuckets({burst: 1, perSecond: 1, clock: options.clock});
  }

  reload(settings: NameSettings): void {
    this.#settings = settings;
  }

  /**
   * Counts a connection that asks for such a name. False: its address has asked too often, and it gets no answer. Names of tunnels are
   * open to it in any case: somebody else behind the same address may visit them.
   */
  mayAsk({address, source}: Peer): boolean {
    if (this.#options.isTrusted(address)) return true;
    // A proxy on the relay's own machine stands for many.
    const standard = isLoopbackHost(address) ? undefined : STANDARD_UNKNOWN_NAMES_PER_SECOND;
    const perSecond = this.#settings.unknownNamesPerSecondPerAddress ?? standard;
    if (perSecond === undefined) return true;
    const rate = {perSecond, burst: perSecond * BURST_S};
    if (!this.#buckets.has(source, rate)) {
      this.#options.reports.note('unknown-names', 'address', source);
      return false;
    }
    this.#buckets.spend(source, 1, rate);
    return true;
  }
}
