// The limit of one session for bytes kept for replay: its own limit, or only its share when the process's budget is full.

import {REPLAY_SHARE, type ReplayBudget} from './replay-budget.js';

export class ReplayBound {
  /** The session's own limit. */
  readonly bytes: number;
  /** The shared budget of all sessions of this process. */
  #budget: ReplayBudget | undefined;
  /** The count that was last reported to the budget. */
  #told = 0;
  #heldBack = false;

  constructor(bytes: number, budget: ReplayBudget | undefined) {
    this.bytes = bytes;
    this.#budget = budget;
  }

  /** Returns true when `kept` has reached the limit. A caller that gets `true` must stop sending; the next ack checks again. */
  isReached(kept: number): boolean {
    const reached = kept >= this.bytes || (kept >= REPLAY_SHARE && this.#budget?.spent === true);
    if (reached) this.#heldBack = true;
    return reached;
  }

  /** Sets the number of bytes that are kept now. */
  tell(kept: number): void {
    if (this.#budget === undefined) return;
    this.#budget.change(kept - this.#told);
    this.#told = kept;
  }

  /** Returns true when a sender was stopped since the last call. */
  takeHeldBack(): boolean {
    const heldBack = this.#heldBack;
    this.#heldBack = false;
    return heldBack;
  }

  /** Nothing is kept any more; later calls of `tell` have no effect. Idempotent. */
  end(): void {
    this.tell(0);
    this.#budget = undefined;
  }
}
