// The members of the last roster, and the wait for the next one.

import type {Clock} from '../core/clock.js';
import type {Peer} from './roster.js';

export class KnownPeers {
  readonly #clock: Clock;
  #all: readonly Peer[] = [];
  #next = Promise.withResolvers<void>();
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** By serial number. */
  get all(): readonly Peer[] {
    return this.#all;
  }

  set(peers: readonly Peer[]): void {
    this.#all = [...peers].sort((a, b) => a.serial - b.serial);
    this.#wake();
  }

  at(address: string): Peer | undefined {
    return this.#all.find((peer) => peer.address === address);
  }

  /** The first answer of `look` that is not undefined, now or with a roster that comes within the time. */
  async when<T>(withinMs: number, look: () => T | undefined): Promise<T | undefined> {
    const until = this.#clock.now() + withinMs;
    for (;;) {
      const found = look();
      const leftMs = until - this.#clock.now();
      if (found !== undefined || leftMs <= 0 || this.#isOver) return found;
      const late = Promise.withResolvers<void>();
      const timer = this.#clock.after(leftMs, late.resolve);
      await Promise.race([this.#next.promise, late.promise]);
      timer.cancel();
    }
  }

  /** Nobody waits any more. */
  close(): void {
    this.#isOver = true;
    this.#wake();
  }

  #wake(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }
}
