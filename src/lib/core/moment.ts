// An event that others wait for and that may happen again: a count is back at zero, a connection is gone.

export class Moment {
  readonly #waiting: Array<() => void> = [];

  /** True while somebody waits for it. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Resolves when it happens next. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** It happens now: all waiters go on. */
  happen(): void {
    for (const tell of this.#waiting.splice(0)) tell();
  }
}
