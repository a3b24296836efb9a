// An event that code waits for and that may happen again, for example when a count is back at zero.

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

  /** It happens now: all waiters continue. */
  happen(): void {
    for (const tell of this.#waiting.splice(0)) tell();
  }
}
