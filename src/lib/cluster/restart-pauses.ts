// Pauses between a failure and the next start: members that fail at once must not keep a machine busy.

const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;
/** A start that went well for so long, ms, makes the next pause the first one again. */
const GOOD_MS = 60_000;

export class RestartPauses {
  #ms = FIRST_MS;

  /** The pause after a start whose programs ran for so long, ms. */
  after(ranMs: number): number {
    const ms = ranMs >= GOOD_MS ? FIRST_MS : this.#ms;
    this.#ms = Math.min(2 * ms, LONGEST_MS);
    return ms;
  }
}
