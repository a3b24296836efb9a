// Finds a worker that hangs: its process is there, and it answers nothing. Its tunnels are dead as long as it lives.

import type {Clock, Timer} from '../../core/clock.js';

const ASK_EVERY_MS = 5_000;
/**
 * Checks in a row without an answer: 30 s. Checks are counted, not time, because after a standstill of the whole machine only
 * one of them is late.
 */
const MOST_UNANSWERED = 6;

export interface HangWatchOptions {
  clock: Clock;
  /** Resolves when the worker answers. Rejects when it is gone. */
  ask: () => Promise<unknown>;
  /** Called once. */
  onHung: () => void;
}

export class HangWatch {
  readonly #options: HangWatchOptions;
  #unanswered = 0;
  #timer: Timer | undefined;

  constructor(options: HangWatchOptions) {
    this.#options = options;
    this.#check();
  }

  /** Idempotent. */
  stop(): void {
    this.#timer?.cancel();
  }

  #check(): void {
    if (this.#unanswered === MOST_UNANSWERED) {
      this.#options.onHung();
      return;
    }
    // One question at a time, so that they do not pile up.
    if (this.#unanswered === 0) {
      this.#options.ask().then(
        () => {
          this.#unanswered = 0;
        },
        () => this.stop(),
      );
    }
    this.#unanswered += 1;
    this.#timer = this.#options.clock.after(ASK_EVERY_MS, () => this.#check());
  }
}
