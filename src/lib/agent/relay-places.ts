// The places where the agent looks for its relay: the user's relay, and others that a relay has named when it shut down. At
// another relay the agent checks from time to time whether its own relay accepts it again.

import type {Clock, Timer} from '../core/clock.js';

/** The place of an attempt. */
export interface Place {
  /** Undefined: the user's relay, the agent's own one. */
  readonly url: string | undefined;
  /** The agent serves at another relay meanwhile: a session at its own relay replaces that one. */
  readonly isHomeward: boolean;
}

export interface RelayPlacesOptions {
  clock: Clock;
  /** The agent should try its own relay. Returns whether it does so now; else the call is repeated later. */
  onHomeward: () => boolean;
}

/** The time at another relay after which the agent tries its own relay, and again after the same time, ms. */
const HOME_AFTER_MS = 600_000;

export class RelayPlaces {
  readonly #options: RelayPlacesOptions;
  #elsewhere: readonly string[] = [];
  /** The index into `elsewhere`; the index after the last one means the agent's own relay. */
  #turn = 0;
  #tried: string | undefined;
  #servesAt: string | undefined;
  #isHomeward = false;
  #timer: Timer | undefined;

  constructor(options: RelayPlacesOptions) {
    this.#options = options;
  }

  /** Whether the last attempt went to a relay that another relay has named. */
  get triedElsewhere(): boolean {
    return this.#tried !== undefined;
  }

  /** Whether the agent serves at a relay that another relay has named. */
  get servesElsewhere(): boolean {
    return this.#servesAt !== undefined;
  }

  /** The place for the next attempt. */
  take(): Place {
    const isHomeward = this.#isHomeward;
    this.#tried = isHomeward ? undefined : this.#elsewhere[this.#turn];
    return {url: this.#tried, isHomeward};
  }

  /** A relay that shuts down names its successors, the best first. None: it will be back at the same place. */
  sentTo(urls: readonly string[]): void {
    if (urls.length === 0) return;
    this.#elsewhere = urls;
    this.#turn = 0;
  }

  /** The attempt has failed: the next one goes to another place. */
  failed({isHomeward}: Place): void {
    if (isHomeward) {
      this.#isHomeward = false;
      this.#waitForHome();
    } else this.#turn = (this.#turn + 1) % (this.#elsewhere.length + 1);
  }

  /** From now on the agent's own relay comes before relays that another relay has named. */
  homeFirst(): void {
    this.#turn = this.#elsewhere.length;
  }

  /** A relay has accepted the agent at this place. */
  arrived({url}: Place): void {
    this.#isHomeward = false;
    this.#servesAt = url;
    this.#timer?.cancel();
    if (url !== undefined) {
      this.#waitForHome();
      return;
    }
    this.#elsewhere = [];
    this.#turn = 0;
  }

  /** Stops the attempts. */
  end(): void {
    this.#timer?.cancel();
  }

  #waitForHome(): void {
    const {clock, onHomeward} = this.#options;
    this.#timer?.cancel();
    // Spread, so that not all agents come at the same time.
    this.#timer = clock.after(HOME_AFTER_MS * (1 + Math.random() / 5), () => {
      this.#isHomeward = true;
      if (onHomeward()) return;
      this.#isHomeward = false;
      this.#waitForHome();
    });
  }
}
