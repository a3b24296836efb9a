// Where the agent looks for its relay: where it was told to, and where a relay that went away on purpose has sent it.

export class RelayPlaces {
  #elsewhere: readonly string[] = [];
  /** Into `elsewhere`; one past its end is the place that the agent was told at the start. */
  #turn = 0;

  /** URL of the relay to try next; undefined: the one that the agent was told at the start. */
  get next(): string | undefined {
    return this.#elsewhere[this.#turn];
  }

  /** A relay that goes away names those that come after it, the best first. None: it will be back where it is. */
  sentTo(urls: readonly string[]): void {
    if (urls.length === 0) return;
    this.#elsewhere = urls;
    this.#turn = 0;
  }

  /** The attempt at `next` has failed: another place is tried the next time. */
  failed(): void {
    this.#turn = (this.#turn + 1) % (this.#elsewhere.length + 1);
  }

  /** What a relay has named comes after the agent's own one from now on. */
  homeFirst(): void {
    this.#turn = this.#elsewhere.length;
  }

  /** The agent is back at its own relay: what another one has named is over. */
  home(): void {
    this.#elsewhere = [];
    this.#turn = 0;
  }
}
