// Where the agent looks for its relay: where it was told to, and where a relay that went away on purpose has sent it.

export class RelayPlaces {
  #elsewhere: readonly string[] = [];
  /** Into `elsewhere`; one past its end is the place that the agent was told at the start. */
  #turn = 0;
  #failedElsewhere = false;

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

  /** The attempt at `next` has failed: another place is tried the next time, unless it is this one that has the session. */
  failed({hasSession}: {hasSession: boolean}): void {
    this.#failedElsewhere = this.next !== undefined;
    if (!hasSession) this.#turn = (this.#turn + 1) % (this.#elsewhere.length + 1);
  }

  /** Whether the last failure was that of a place which a relay has named. */
  get failedElsewhere(): boolean {
    return this.#failedElsewhere;
  }
}
