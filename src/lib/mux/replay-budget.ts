// The shared limit of a process for bytes kept for replay: one session without a link may keep its own limit, a thousand
// such sessions may not.

/** Each session may keep this much even when the budget is full, so that none is blocked. */
export const REPLAY_SHARE = 256 * 1024;

export class ReplayBudget {
  /** The limit of all sessions together. */
  readonly limitBytes: number;
  #used = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  get usedBytes(): number {
    return this.#used;
  }

  /** True when the budget is full: a session that keeps more than its share must keep no more for now. */
  get spent(): boolean {
    return this.#used >= this.limitBytes;
  }

  /** Adds the change of one session, positive or negative. */
  change(bytes: number): void {
    this.#used += bytes;
  }
}
