// What the sessions of a process keep for their peers, together: one that loses its link keeps as much as it may, a thousand
// must not.

/** Each session may keep this much even when the budget is spent, so that none of them stands still. */
export const REPLAY_SHARE = 256 * 1024;

export class ReplayBudget {
  /** What all may keep together. */
  readonly limitBytes: number;
  #used = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#used;
  }

  /** Whoever keeps more than the share keeps nothing on top of it for now. */
  get spent(): boolean {
    return this.#used >= this.limitBytes;
  }

  /** A session keeps so many bytes more, or less. */
  change(bytes: number): void {
    this.#used += bytes;
  }
}
