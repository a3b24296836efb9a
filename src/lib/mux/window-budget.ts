// The limit for the growth of all windows of a session. Idle streams give growth back to active ones, and large windows to
// small ones.

/** A window that was idle for this long, ms, gives its growth to other streams. */
const IDLE_MS = 1_000;

/** The part of a window that the budget needs. */
export interface GrownWindow {
  readonly size: number;
  /** The time at which its bytes were consumed last, ms. */
  readonly usedAt: number;
  /** The number of bytes that it can give back now. */
  readonly spare: number;
  /** Makes the window smaller and gives the bytes back to the budget. */
  shrink(bytes: number): void;
}

/** The budget of one session; its parent is the budget of a whole relay. */
export class WindowBudget {
  #limit: number;
  readonly #parent: WindowBudget | undefined;
  readonly #grown = new Set<GrownWindow>();
  #used = 0;

  constructor(limit: number, parent?: WindowBudget) {
    this.#limit = limit;
    this.#parent = parent;
  }

  /** Windows that have grown beyond a smaller limit stay, until they give bytes back. */
  setLimit(bytes: number): void {
    this.#limit = bytes;
  }

  get used(): number {
    return this.#used;
  }

  /**
   * Grows `window` by `bytes`. If needed, idle windows give bytes back, or one window that stays at least as large as this
   * one.
   */
  grow(window: GrownWindow, bytes: number, now: number): boolean {
    if (!this.#take(bytes)) {
      const idle = this.#others(window).filter(({usedAt}) => now - usedAt >= IDLE_MS);
      this.#reclaim(
        idle.sort((a, b) => a.usedAt - b.usedAt),
        bytes,
      );
      const larger = this.#others(window).filter(({size}) => size >= window.size + 2 * bytes);
      if (!this.#fits(bytes)) this.#reclaim(larger.sort((a, b) => b.size - a.size).slice(0, 1), bytes);
      if (!this.#take(bytes)) return false;
    }
    this.#grown.add(window);
    return true;
  }

  /** Counts `bytes` of `window` beyond its size, whose credit was granted before. Returns false when no memory is left. */
  charge(window: GrownWindow, bytes: number): boolean {
    if (this.#take(bytes)) return true;
    this.#reclaim(
      this.#others(window).sort((a, b) => b.size - a.size),
      bytes,
    );
    return this.#take(bytes);
  }

  give(bytes: number): void {
    this.#used -= bytes;
    this.#parent?.give(bytes);
  }

  /** The window's stream has ended. */
  forget(window: GrownWindow): void {
    this.#grown.delete(window);
  }

  #others(window: GrownWindow): GrownWindow[] {
    return [...this.#grown].filter((other) => other !== window);
  }

  /** Makes windows smaller, in this order, until `bytes` fit. */
  #reclaim(windows: readonly GrownWindow[], bytes: number): void {
    for (const window of windows) {
      if (this.#fits(bytes)) return;
      const {spare} = window;
      if (spare > 0) window.shrink(Math.min(spare, bytes));
    }
  }

  #fits(bytes: number): boolean {
    if (this.#used + bytes > this.#limit) return false;
    return this.#parent === undefined || this.#parent.#fits(bytes);
  }

  #take(bytes: number): boolean {
    if (!this.#fits(bytes)) return false;
    for (let budget: WindowBudget | undefined = this; budget !== undefined; budget = budget.#parent)
      budget.#used += bytes;
    return true;
  }
}
