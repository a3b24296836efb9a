// Where the agent looks for its relay: where it was told to, and where a relay that went away on purpose has sent it. From
// elsewhere it looks after a while whether its own relay takes it again.

import type {Clock, Timer} from '../core/clock.js';

/** Where an attempt goes. */
export interface Place {
  /** Undefined: to the relay that the agent was told at the start, its own one. */
  readonly url: string | undefined;
  /** The agent serves elsewhere meanwhile: a session at its own relay takes the place of that one. */
  readonly isHomeward: boolean;
}

export interface RelayPlacesOptions {
  clock: Clock;
  /** It is time to look at home. Returns whether that is tried now; else it is time again later. */
  onHomeward: () => boolean;
}

/** An agent elsewhere looks after so long whether its own relay is back, ms; and again after as long. */
const HOME_AFTER_MS = 600_000;

export class RelayPlaces {
  readonly #options: RelayPlacesOptions;
  #elsewhere: readonly string[] = [];
  /** Into `elsewhere`; one past its end is the agent's own relay. */
  #turn = 0;
  #tried: string | undefined;
  #servesAt: string | undefined;
  #isHomeward = false;
  #timer: Timer | undefined;

  constructor(options: RelayPlacesOptions) {
    this.#options = options;
  }

  /** Whether the last attempt went to a relay that another one has named. */
  get triedElsewhere(): boolean {
    return this.#tried !== undefined;
  }

  /** Whether the last relay that took the agent is one that another one has named. */
  get servesElsewhere(): boolean {
    return this.#servesAt !== undefined;
  }

  /** For the next attempt. */
  take(): Place {
    const isHomeward = this.#isHomeward;
    this.#tried = isHomeward ? undefined : this.#elsewhere[this.#turn];
    return {url: this.#tried, isHomeward};
  }

  /** A relay that goes away names those that come after it, the best first. None: it will be back where it is. */
  sentTo(urls: readonly string[]): void {
    if (urls.length === 0) return;
    this.#elsewhere = urls;
    this.#turn = 0;
  }

  /** The attempt has failed: another place is tried the next time. */
  failed({isHomeward}: Place): void {
    if (isHomeward) {
      this.#isHomeward = false;
      this.#waitForHome();
    } else this.#turn = (this.#turn + 1) % (this.#elsewhere.length + 1);
  }

  /** The agent's own relay comes before relays that another relay has named, from now on. */
  homeFirst(): void {
    this.#turn = this.#elsewhere.length;
  }

  /** A relay has taken the agent there. */
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

  /** Nothing is tried any more. */
  end(): void {
    this.#timer?.cancel();
  }

  #waitForHome(): void {
    const {clock, onHomeward} = this.#options;
    this.#timer?.cancel();
    // Not all agents in one moment.
    this.#timer = clock.after(HOME_AFTER_MS * (1 + Math.random() / 5), () => {
      this.#isHomeward = true;
      if (onHomeward()) return;
      this.#isHomeward = false;
      this.#waitForHome();
    });
  }
}
