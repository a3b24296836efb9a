// Lets work begin or holds it back; closing waits for the work that has begun.

export class Gate {
  #inside = 0;
  #opened: Promise<void> | undefined;
  #open: () => void = () => {};
  #emptied: () => void = () => {};

  /** Resolves when the gate is open, and counts the caller as inside. */
  async enter(): Promise<void> {
    while (this.#opened !== undefined) await this.#opened;
    this.#inside += 1;
  }

  leave(): void {
    this.#inside -= 1;
    if (this.#inside === 0) this.#emptied();
  }

  /** Resolves when nobody is inside any more. */
  async close(): Promise<void> {
    this.#opened ??= new Promise((resolve) => {
      this.#open = resolve;
    });
    if (this.#inside === 0) return;
    await new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
  }

  open(): void {
    this.#opened = undefined;
    this.#open();
  }
}
