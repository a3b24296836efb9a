// How often the agents of one owner may connect. A token that is right costs a handshake and a session each time.

import type {Clock} from '../../core/clock.js';
import type {Principal} from '../access/principal.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {Part} from '../part.js';
import type {LimitReports} from './limit-reports.js';
import {type LimitSettings, STANDARD_SESSIONS_PER_SECOND} from './limit-settings.js';

type SessionSettings = Pick<LimitSettings, 'sessionsPerSecondPerOwner'>;

/** All agents of an owner come back at once after a restart of the relay, or of the network. */
const BURST_S = 50;

export interface SessionLimitOptions {
  settings: SessionSettings;
  reports: Pick<LimitReports, 'note'>;
  clock: Clock;
}

export class SessionLimit implements Part {
  readonly #reports: SessionLimitOptions['reports'];
  #settings: SessionSettings;
  readonly #buckets: TokenBuckets;

  constructor({settings, reports, clock}: SessionLimitOptions) {
    this.#reports = reports;
    this.#settings = settings;
    this.#buckets = new TokenBuckets({burst: 1, perSecond: 1, clock});
  }

  reload(settings: SessionSettings): void {
    this.#settings = settings;
  }

  /** Counts an agent that connects. Undefined: it may; else the time until it may, ms. */
  enter({owner, tokenId}: Pick<Principal, 'owner' | 'tokenId'>): number | undefined {
    const standard = tokenId === undefined ? undefined : STANDARD_SESSIONS_PER_SECOND;
    const perSecond = this.#settings.sessionsPerSecondPerOwner ?? standard;
    if (perSecond === undefined) return undefined;
    const rate = {perSecond, burst: perSecond * BURST_S};
    if (this.#buckets.has(owner, rate)) {
      this.#buckets.spend(owner, 1, rate);
      return undefined;
    }
    this.#reports.note('sessions', 'owner', owner);
    return this.#buckets.waitMs(owner, rate);
  }
}
