// The limit for the growth of all windows of a session, and of all sessions of a relay. Idle streams give growth back to active
// ones, and large windows to small ones.

/** A window that was idle for this long, ms, gives its growth to other streams. */
const IDLE_MS = 1_000;

/**
 * A look at the windows of other sessions may be a look at thousands of windows. It makes room for more than one growth, and the
 * next look at idle ones comes later, ms.
 */
const LOOK_EVERY_MS = 100;
const ROOM_BYTES = 16 * 1024 * 1024;
/** The part of a small budget that one look frees at the most. */
const ROOM_SHARE = 1 / 8;

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
  /** Budgets of sessions that have grown windows. */
  readonly #children = new Set<WindowBudget>();
  #lookedAt = Number.NEGATIVE_INFINITY;
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
   * Grows `window` by `bytes`. If needed, idle windows give bytes back, those of sessions with more growth as well, or one window
   * of this session that stays at least as large as this one.
   */
  grow(window: GrownWindow, bytes: number, now: number): boolean {
    if (!this.#take(bytes)) {
      const idle = this.#others(window).filter(({usedAt}) => now - usedAt >= IDLE_MS);
      this.#reclaim(
        idle.sort((a, b) => a.usedAt - b.usedAt),
        bytes,
      );
      const full = this.#fullParent(bytes);
      if (full !== undefined) full.#reclaimIdle(this, bytes, now);
      const larger = this.#others(window).filter(({size}) => size >= window.size + 2 * bytes);
      if (!this.#fits(bytes)) this.#reclaim(larger.sort((a, b) => b.size - a.size).slice(0, 1), bytes);
      if (!this.#take(bytes)) return false;
    }
    this.#grown.add(window);
    if (this.#parent !== undefined) this.#parent.#children.add(this);
    return true;
  }

  /** Counts `bytes` of `window` beyond its size, whose credit was granted before. Returns false when no memory is left. */
  charge(window: GrownWindow, bytes: number): boolean {
    if (this.#take(bytes)) return true;
    this.#reclaim(
      this.#others(window).sort((a, b) => b.size - a.size),
      bytes,
    );
    const full = this.#fullParent(bytes);
    if (full !== undefined) full.#reclaimLargest(this, bytes);
    return this.#take(bytes);
  }

  give(bytes: number): void {
    this.#used -= bytes;
    this.#parent?.give(bytes);
  }

  /** The window has no growth any more. */
  forget(window: GrownWindow): void {
    this.#grown.delete(window);
    if (this.#grown.size === 0 && this.#parent !== undefined) this.#parent.#children.delete(this);
  }

  #others(window: GrownWindow): GrownWindow[] {
    return [...this.#grown].filter((other) => other !== window);
  }

  /** The budget of the relay, when it has no room and that of this session has. */
  #fullParent(bytes: number): WindowBudget | undefined {
    return this.#used + bytes <= this.#limit && !this.#fits(bytes) ? this.#parent : undefined;
  }

  /** Sessions that have grown more than `child` give the growth of idle windows back, the longest idle first. */
  #reclaimIdle(child: WindowBudget, bytes: number, now: number): void {
    if (now - this.#lookedAt < LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    const richer = [...this.#children].filter((other) => other.#used > child.#used);
    const idle = richer.flatMap((other) => [...other.#grown]).filter(({usedAt}) => now - usedAt >= IDLE_MS);
    this.#reclaim(
      idle.sort((a, b) => a.usedAt - b.usedAt),
      this.#room(bytes),
    );
  }

  /** The bytes came with credit that was granted before: they must have room as long as any growth is unused. */
  #reclaimLargest(child: WindowBudget, bytes: number): void {
    const others = [...this.#children].filter((other) => other !== child);
    this.#reclaim(
      others.flatMap((other) => [...other.#grown]).sort((a, b) => b.size - a.size),
      this.#room(bytes),
    );
  }

  #room(bytes: number): number {
    return Math.max(bytes, Math.min(ROOM_BYTES, Math.floor(this.#limit * ROOM_SHARE)));
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
