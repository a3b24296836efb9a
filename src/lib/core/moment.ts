// Something that others wait for, and that may come again: a count that is back at nothing, a connection that is gone.

export class Moment {
  readonly #waiting: Array<() => void> = [];

  /** Whether anybody waits for it. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Resolves when it comes. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** It is here. */
  come(): void {
    for (const tell of this.#waiting.splice(0)) tell();
  }
}
