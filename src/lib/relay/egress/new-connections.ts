// How many new connections by egress an owner may make a second. With several workers the first process counts for all of them.

import type {Clock} from '../../core/clock.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';

/** New connections come in groups. */
const BURST_S = 10;
/** A worker forgets the oldest owners beyond this number, and asks for them again. */
const MOST_REFUSED = 4_096;

type NewConnectionSettings = Pick<RelaySettings, 'egressPerSecondPerOwner'>;

export class NewConnections implements Part {
  #settings: NewConnectionSettings;
  readonly #buckets: TokenBuckets;

  constructor({settings, clock}: {settings: NewConnectionSettings; clock: Clock}) {
    this.#settings = settings;
    this.#buckets = new TokenBuckets({burst: 1, perSecond: 1, clock});
  }

  reload(settings: NewConnectionSettings): void {
    this.#settings = settings;
  }

  /** Counts a new connection. Returns 0, or the time until the owner may have the next one, ms. */
  take(owner: string): number {
    const perSecond = this.#settings.egressPerSecondPerOwner;
    const rate = {perSecond, burst: perSecond * BURST_S};
    if (!this.#buckets.has(owner, rate)) return this.#buckets.waitMs(owner, rate);
    this.#buckets.spend(owner, 1, rate);
    return 0;
  }
}

/** In a worker. It does not ask for an owner whose next connection is due later. */
export class RemoteNewConnections {
  readonly #ask: (owner: string) => Promise<number>;
  readonly #clock: Pick<Clock, 'now'>;
  /** When owners that were refused may have the next connection. */
  readonly #refusedUntil = new Map<string, number>();

  constructor({ask, clock}: {ask: (owner: string) => Promise<number>; clock: Pick<Clock, 'now'>}) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** As `NewConnections.take`. @throws Error when the first process does not answer */
  take(owner: string): number | Promise<number> {
    const leftMs = (this.#refusedUntil.get(owner) ?? 0) - this.#clock.now();
    return leftMs > 0 ? leftMs : this.#taken(owner);
  }

  async #taken(owner: string): Promise<number> {
    const waitMs = await this.#ask(owner);
    this.#refusedUntil.delete(owner);
    if (waitMs > 0) this.#refusedUntil.set(owner, this.#clock.now() + waitMs);
    const [oldest] = this.#refusedUntil.keys();
    if (this.#refusedUntil.size > MOST_REFUSED && oldest !== undefined) this.#refusedUntil.delete(oldest);
    return waitMs;
  }
}
