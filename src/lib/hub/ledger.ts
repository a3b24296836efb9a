// The activity of one session: what kept it alive last, when it stops if nothing follows, and when to warn. Looking at a session
// is no activity.

import type {KeptBy} from './session.js';

/** How long before its end a session is announced to stop, ms. */
export const WARN_MS = 5 * 60_000;

export interface LedgerOptions {
  /** 0: it is never idle. */
  readonly idleMs: number;
  /** ms since 1970. */
  readonly startedAt: number;
}

export class Ledger {
  readonly #idleMs: number;
  #last: KeptBy;
  #warnedFor: number | undefined;

  constructor({idleMs, startedAt}: LedgerOptions) {
    this.#idleMs = idleMs;
    this.#last = {source: 'start', at: startedAt, isNow: false};
  }

  /** An older fact does not replace a newer one. One that goes on now always counts. */
  note(fact: KeptBy): void {
    if (fact.isNow || fact.at >= this.#last.at) this.#last = fact;
    else if (this.#last.isNow) this.#last = {...this.#last, isNow: false};
  }

  /** Nothing goes on any more; the time of the last activity stays. */
  rest(): void {
    if (this.#last.isNow) this.#last = {...this.#last, isNow: false};
  }

  get keptBy(): KeptBy {
    return this.#last;
  }

  /** Undefined: it has no such end, or something goes on now. */
  get idleStopsAt(): number | undefined {
    return this.#idleMs === 0 || this.#last.isNow ? undefined : this.#last.at + this.#idleMs;
  }

  isIdle(now: number): boolean {
    const at = this.idleStopsAt;
    return at !== undefined && now >= at;
  }

  /** The end to warn of, once for each end. `stopsAt`: the end of its life. */
  warning(now: number, stopsAt: number | undefined): {at: number; reason: 'idle' | 'timeout'} | undefined {
    const ends = [
      {at: this.idleStopsAt, reason: 'idle' as const},
      {at: stopsAt, reason: 'timeout' as const},
    ].flatMap(({at, reason}) => (at === undefined ? [] : [{at, reason}]));
    const [first] = ends.sort((a, b) => a.at - b.at);
    if (first === undefined) return undefined;
    // A short idle time must not warn at each activity.
    const early = first.reason === 'idle' ? Math.min(WARN_MS, this.#idleMs / 2) : WARN_MS;
    if (now < first.at - early || this.#warnedFor === first.at) return undefined;
    this.#warnedFor = first.at;
    return first;
  }
}
