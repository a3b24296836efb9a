// Divides the work of many datagram streams over turns of the event loop: a peer's DATA may hold very many small datagrams, and
// each costs a call of the system.

import type {Clock} from '../core/clock.js';

/** The datagrams of all streams together in one turn. */
const MOST_IN_A_TURN = 256;
/** Those of one stream before others have their turn. */
const MOST_OF_ONE = 32;

export class DatagramTurns {
  readonly #clock: Pick<Clock, 'soon'>;
  /** In the order in which they asked. */
  readonly #waiting = new Set<() => void>();
  #left = MOST_IN_A_TURN;
  #isScheduled = false;

  constructor(clock: Pick<Clock, 'soon'>) {
    this.#clock = clock;
  }

  /**
   * Calls `step` until it returns false or its turn is over. Returns false when there may be more to do: `again` is called in a
   * later turn.
   */
  work(step: () => boolean, again: () => void): boolean {
    for (let done = 0; done < MOST_OF_ONE && this.#left > 0; done += 1) {
      if (!step()) return true;
      this.#left -= 1;
      this.#schedule();
    }
    this.#waiting.add(again);
    this.#schedule();
    return false;
  }

  /** It has no more work. */
  leave(again: () => void): void {
    this.#waiting.delete(again);
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#clock.soon(this.#next);
  }

  readonly #next = (): void => {
    this.#isScheduled = false;
    this.#left = MOST_IN_A_TURN;
    // Those that ask again are at the end then, and those that had no turn stay at the beginning.
    for (let count = this.#waiting.size; count > 0 && this.#left > 0; count -= 1) {
      const [first] = this.#waiting;
      if (first === undefined) break;
      this.#waiting.delete(first);
      first();
    }
    if (this.#waiting.size > 0) this.#schedule();
  };
}
