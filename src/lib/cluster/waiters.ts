// Waits for things that may hold after a change.

export class Waiters {
  readonly #all = new Set<() => void>();

  /** Something has changed. */
  wake(): void {
    for (const wake of [...this.#all]) wake();
  }

  /** Resolves with what `look` finds, now or after a change. @throws what `look` throws; the signal's reason */
  until<T>(look: () => T | undefined, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#all.delete(wake);
        signal.removeEventListener('abort', abort);
      };
      const abort = () => {
        settle();
        reject(signal.reason);
      };
      const wake = () => {
        try {
          const found = look();
          if (found === undefined) return;
          settle();
          resolve(found);
        } catch (error) {
          settle();
          reject(error);
        }
      };
      this.#all.add(wake);
      signal.addEventListener('abort', abort);
      if (signal.aborted) abort();
      else wake();
    });
  }
}
