// What the windows of a session may grow by in all, and whose turn it is: streams that are idle give their growth back to those
// that are not, large windows to small ones.

/** Idle for so long, ms, a window is of more use to another stream. */
const IDLE_MS = 1_000;

/** A window as the budget sees it. */
export interface GrownWindow {
  readonly size: number;
  /** When bytes of it were consumed last, ms. */
  readonly usedAt: number;
  /** Bytes that it may be made smaller by now. */
  readonly spare: number;
  /** Makes it smaller, and gives the bytes back to the budget. */
  shrink(bytes: number): void;
}

/** Of a session, or, as its parent, of a whole relay. */
export class WindowBudget {
  readonly #limit: number;
  readonly #parent: WindowBudget | undefined;
  readonly #grown = new Set<GrownWindow>();
  #used = 0;

  constructor(limit: number, parent?: WindowBudget) {
    this.#limit = limit;
    this.#parent = parent;
  }

  get used(): number {
    return this.#used;
  }

  /** `window` becomes larger by `bytes`, if need be at the cost of idle windows, or of one that stays as large as it is then. */
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

  /** `window` holds `bytes` more than it is given, for which credit was granted before. False: there is no memory left. */
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

  /** The window is over. */
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
