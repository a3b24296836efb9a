// How much one session may keep for replay: so much by itself, and only its share when the process has spent its budget.

import {REPLAY_SHARE, type ReplayBudget} from './replay-budget.js';

export class ReplayBound {
  /** What is kept at the most. */
  readonly bytes: number;
  /** Of all sessions of this process together. */
  #budget: ReplayBudget | undefined;
  /** What the budget knows of. */
  #told = 0;
  #heldBack = false;

  constructor(bytes: number, budget: ReplayBudget | undefined) {
    this.bytes = bytes;
    this.#budget = budget;
  }

  /** Whether `kept` is as much as may be. Who asks and hears so holds something back, and the next ack has to see to it. */
  isReached(kept: number): boolean {
    const reached = kept >= this.bytes || (kept >= REPLAY_SHARE && this.#budget?.spent === true);
    if (reached) this.#heldBack = true;
    return reached;
  }

  /** So much is kept from now on. */
  tell(kept: number): void {
    if (this.#budget === undefined) return;
    this.#budget.change(kept - this.#told);
    this.#told = kept;
  }

  /** Whether anything was held back since this was asked last. */
  takeHeldBack(): boolean {
    const heldBack = this.#heldBack;
    this.#heldBack = false;
    return heldBack;
  }

  /** Nothing is kept any more, whatever is told later. Idempotent. */
  end(): void {
    this.tell(0);
    this.#budget = undefined;
  }
}
