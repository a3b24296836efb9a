// How many agents one owner may have, and how often they may connect. A token that is right costs a handshake and a session
// each time.

import type {Clock} from '../../core/clock.js';
import type {ErrorCode} from '../../core/errors.js';
import type {Principal} from '../access/principal.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {Part} from '../part.js';
import type {LimitReports} from './limit-reports.js';
import {type LimitSettings, STANDARD_SESSIONS, STANDARD_SESSIONS_PER_SECOND} from './limit-settings.js';

type SessionSettings = Pick<LimitSettings, 'maxSessionsPerOwner' | 'sessionsPerSecondPerOwner'>;
type Owner = Pick<Principal, 'owner' | 'tokenId'>;

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
  enter({owner, tokenId}: Owner): number | undefined {
    const perSecond =
      this.#settings.sessionsPerSecondPerOwner ?? standardFor(tokenId, STANDARD_SESSIONS_PER_SECOND);
    if (perSecond === undefined) return undefined;
    const rate = {perSecond, burst: perSecond * BURST_S};
    if (this.#buckets.has(owner, rate)) {
      this.#buckets.spend(owner, 1, rate);
      return undefined;
    }
    this.#reports.note('sessions', 'owner', owner);
    return this.#buckets.waitMs(owner, rate);
  }

  /** Why an owner with this number of sessions may not begin another one now. Undefined: it may. */
  refusalOf({owner, tokenId}: Owner, open: number): [code: ErrorCode, message: string] | undefined {
    const most = this.#settings.maxSessionsPerOwner ?? standardFor(tokenId, STANDARD_SESSIONS);
    if (most === undefined || open < most) return undefined;
    this.#reports.note('sessions', 'owner', owner);
    return ['RELAY_BUSY', `The owner may have ${most} agents at once.`];
  }
}

/** The standard limits are for owners with a token of their own. */
const standardFor = (tokenId: string | undefined, number: number) =>
  tokenId === undefined ? undefined : number;
